-- name: lock
-- Lock handles until the end of the transaction, in one order everywhere: tenant, keys.
select pg_advisory_xact_lock(o.number)
from (
    select distinct hashtextextended('handle:' || $1::text || ':' || k.key, 0) as number from unnest($2::text[]) as k (key) order by 1
) as o

-- name: held_for_another
-- Whether another user gave up this handle after a time: tenant, user, hash of the key, time.
select 1 from handle_changes h
where h.tenant = $1 and h.key_hash = $3 and h.user_id is distinct from $2::uuid and h.released_at > $4 limit 1

-- name: recent_changes
-- When a user gave up handles after a time, the latest first: tenant, user, time, limit.
select h.released_at from handle_changes h
where h.tenant = $1 and h.user_id = $2 and h.released_at > $3 order by h.released_at desc limit $4

-- name: release
-- Tenant, id, user, hash of the key, now.
insert into handle_changes (tenant, id, user_id, key_hash, released_at) values ($1, $2, $3, $4, $5)

-- name: sweep
-- Delete changes that no longer count. Returns their number: oldest to keep, limit.
with deleted as (
    delete from handle_changes
    where ctid = any(array(select o.ctid from handle_changes o where o.released_at < $1 order by o.released_at limit $2)) returning 1
)
select count(*) from deleted
