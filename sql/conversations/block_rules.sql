-- name: is_blocked_by_any
-- Whether one of these users has blocked the requester by user id: tenant, requester, users.
select 1 from blocks b where b.tenant = $1 and b.blocker = any($3::uuid[]) and b.blocked_as = $2 limit 1

-- name: lock_pair
-- Lock a pair of users until the end of the transaction: tenant, two users.
select pg_advisory_xact_lock(hashtextextended(
    $1::text || least($2::uuid, $3::uuid)::text || greatest($2::uuid, $3::uuid)::text, 0
))

-- name: ids_of_blocks_between
-- The ids by which either of two users has blocked the other: tenant, two users.
select b.blocked_as::text from blocks b where b.tenant = $1 and b.blocker = $2 and b.blocked = $3
union all
select b.blocked_as::text from blocks b where b.tenant = $1 and b.blocker = $3 and b.blocked = $2
