-- name: between
-- Whether one of these users has blocked the asker: tenant, asker, users.
select 1 from blocks b where b.tenant = $1 and b.blocker = any($3::uuid[]) and b.blocked = $2 limit 1

-- name: around
-- Whom a user has blocked and who has blocked them, at most so many: tenant, user, limit.
select b.blocked::text as user from blocks b where b.tenant = $1 and b.blocker = $2
union
select b.blocker::text from blocks b where b.tenant = $1 and b.blocked = $2
limit $3

-- name: lock_pair
-- One at a time decides about two people: tenant, two users.
select pg_advisory_xact_lock(hashtextextended(
    $1::text || least($2::uuid, $3::uuid)::text || greatest($2::uuid, $3::uuid)::text, 0
))

-- name: between_two
-- Whether one of two has blocked the other, whoever it is: tenant, two users.
select 1 from blocks b where b.tenant = $1 and b.blocker = $2 and b.blocked = $3
union all
select 1 from blocks b where b.tenant = $1 and b.blocker = $3 and b.blocked = $2
limit 1
