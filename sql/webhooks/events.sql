-- name: add_test
-- Queue an event of the type webhook.test: tenant, endpoint, event, key, now. Returns the event.
with new_delivery as (
    insert into webhook_deliveries (tenant, endpoint, id, event, type, key, at, retried_from)
    select $1, $2, nextval(pg_get_serial_sequence('outbox', 'id')), $3, 'webhook.test', $4, $5, now_ms()
    returning event
),
new_stream as (
    insert into webhook_streams (tenant, endpoint, key, due_at) values ($1, $2, $4, now_ms())
    on conflict (endpoint, key, tenant) do update set version = webhook_streams.version + 1
)
select event::text from new_delivery

-- name: replay
-- Make settled events of a range pending again: tenant, endpoint, since, until, states, after this id, limit of the
-- events that are examined. Returns the last one that was examined (null: there are no more), and how many are pending
-- again.
with examined as materialized (
    select d.id, d.key, d.at, d.state from webhook_deliveries d
    where d.endpoint = $2 and d.tenant = $1 and d.id > $6::bigint
    order by d.id limit $7
),
chosen as (
    select x.id, x.key from examined x where x.at >= $3::bigint and x.at < $4::bigint and x.state = any($5::text[])
),
replayed as (
    update webhook_deliveries d
    set state = 'pending', settled_at = null, kept_until = null, attempts = 0, error = null, retried_from = now_ms()
    from chosen c where d.endpoint = $2 and d.id = c.id and d.tenant = $1 and d.state <> 'pending'
    returning d.key
),
new_streams as (
    insert into webhook_streams (tenant, endpoint, key, due_at)
    select distinct $1, $2::uuid, r.key, now_ms() from replayed r order by 3
    on conflict (endpoint, key, tenant) do update set version = webhook_streams.version + 1
)
select (select max(x.id) from examined x) as last, (select count(*) from replayed) as replayed

-- name: deliveries
-- Events of an endpoint, the latest first: tenant, endpoint, before this id, limit.
select d.id::text, d.event::text, d.type, d.key::text, d.state, d.attempts, d.error, d.at, d.attempted_at, d.settled_at
from webhook_deliveries d
where d.endpoint = $2 and d.tenant = $1 and d.id < $3::bigint
order by d.id desc limit $4

-- name: pending_deliveries
-- The same, of events that are pending.
select d.id::text, d.event::text, d.type, d.key::text, d.state, d.attempts, d.error, d.at, d.attempted_at, d.settled_at
from webhook_deliveries d
where d.endpoint = $2 and d.state = 'pending' and d.tenant = $1 and d.id < $3::bigint
order by d.id desc limit $4

-- name: parked_deliveries
-- The same, of events that are parked.
select d.id::text, d.event::text, d.type, d.key::text, d.state, d.attempts, d.error, d.at, d.attempted_at, d.settled_at
from webhook_deliveries d
where d.endpoint = $2 and d.state = 'parked' and d.tenant = $1 and d.id < $3::bigint
order by d.id desc limit $4
