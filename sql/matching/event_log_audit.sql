-- name: matches_after
-- Matches in the order of their ids, which is the order of their times: after this id, limit.
select m.id::text, m.created_at from matches m where m.id > $1::uuid order by m.id limit $2

-- name: end_reasons
-- The matches that exist, with the reason of their end (null if they have not ended): ids.
select m.id::text, m.reason from matches m where m.id = any($1::uuid[])

-- name: erased_users
-- Users who were erased in a span of time: after, until.
select u.tenant, u.id::text as user from users u where u.erased_at > $1 and u.erased_at <= $2
