-- name: since
-- Matches by their id, which is in the order of time: after this one, limit.
select m.id::text, m.created_at from matches m where m.id > $1::uuid order by m.id limit $2

-- name: states
-- Those of these matches that there are, and why they ended (null: they have not): ids.
select m.id::text, m.reason from matches m where m.id = any($1::uuid[])

-- name: erased
-- Users who were erased after a time, and up to a time.
select u.tenant, u.id::text as user from users u where u.erased_at > $1 and u.erased_at <= $2
