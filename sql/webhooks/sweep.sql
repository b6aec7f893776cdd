-- name: park_disabled
-- Park events of an endpoint that stays disabled. Returns their number: tenant, endpoint, reason,
-- milliseconds for which they are kept, limit.
with parked as (
    update webhook_deliveries d set state = 'parked', settled_at = now_ms(), kept_until = now_ms() + $4::bigint, error = coalesce(d.error, $3)
    where d.ctid = any(array(
        select o.ctid from webhook_deliveries o where o.endpoint = $2 and o.state = 'pending' and o.tenant = $1 order by o.id limit $5
    ))
    returning 1
)
select count(*) from parked

-- name: delete_idle_streams
-- Delete the streams of an endpoint that have no pending events: tenant, endpoint.
delete from webhook_streams s
where s.endpoint = $2 and s.tenant = $1 and s.claim is null and not exists (
    select 1 from webhook_deliveries d where d.endpoint = s.endpoint and d.key = s.key and d.tenant = s.tenant and d.state = 'pending'
)

-- name: delete_streams
-- Tenant, endpoint.
delete from webhook_streams s where s.endpoint = $2 and s.tenant = $1

-- name: disabled_before
-- Endpoints that have been disabled since a time, by id: time, after (id, tenant), limit.
select e.tenant, e.id::text, e.removed_at is not null as is_removed from webhook_endpoints e
where (e.id, e.tenant) > ($2::uuid, $3::text) and e.disabled_at is not null and (e.disabled_at < $1::bigint or e.removed_at is not null)
order by e.id, e.tenant limit $4

-- name: sweep
-- Delete old events. Returns their number: limit.
with deleted as (
    delete from webhook_deliveries d where d.ctid = any(array(
        select o.ctid from webhook_deliveries o where o.kept_until <= now_ms() order by o.kept_until limit $1
    ))
    returning 1
)
select count(*) from deleted

-- name: delete_events
-- Delete events of a removed endpoint. Returns their number: tenant, endpoint, limit.
with deleted as (
    delete from webhook_deliveries d where d.ctid = any(array(
        select o.ctid from webhook_deliveries o where o.endpoint = $2 and o.tenant = $1 order by o.id limit $3
    ))
    returning 1
)
select count(*) from deleted

-- name: delete_endpoint
-- Delete a removed endpoint that has no events left: tenant, endpoint.
delete from webhook_endpoints e
where e.tenant = $1 and e.id = $2 and e.removed_at is not null
    and not exists (select 1 from webhook_deliveries d where d.endpoint = e.id and d.tenant = e.tenant)

-- name: is_too_long
-- Whether an endpoint has more pending events than allowed: tenant, endpoint, maximum.
select 1 from webhook_deliveries d where d.endpoint = $2 and d.state = 'pending' and d.tenant = $1 offset $3 limit 1
