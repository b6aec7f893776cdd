-- name: insert
-- Null if the tenant has too many, without those of bots: tenant, id, url, types, note, salt, now, bot (null: none),
-- maximum.
insert into webhook_endpoints (tenant, id, url, types, note, salt, created_at, bot)
select $1, $2, $3, $4, $5, $6, $7, $8::uuid
where $8::uuid is not null
    or (select count(*) from webhook_endpoints e where e.tenant = $1 and e.removed_at is null and e.bot is null) < $9::bigint
returning id::text

-- name: lock_tenant
-- Endpoints of a tenant are changed one at a time, so that their count and the interests in events are exact: tenant.
select 1 from tenants where id = $1 for no key update

-- name: page
-- The endpoints of a tenant: tenant.
select e.id::text, e.bot::text, e.url, e.types, e.note, e.created_at, e.disabled_at, e.disabled_reason, e.failing_since, e.last_error,
    e.previous_until,
    (
        select count(*) from (
            select 1 from webhook_deliveries d where d.endpoint = e.id and d.tenant = e.tenant and d.state = 'pending' limit 10000
        ) as p
    ) as pending,
    (
        select count(*) from (
            select 1 from webhook_deliveries d where d.endpoint = e.id and d.tenant = e.tenant and d.state = 'parked' limit 10000
        ) as p
    ) as parked,
    (
        select d.at from webhook_deliveries d
        where d.endpoint = e.id and d.tenant = e.tenant and d.state = 'pending' order by d.id limit 1
    ) as oldest_pending_at
from webhook_endpoints e
where e.tenant = $1 and e.removed_at is null
order by e.id

-- name: get
-- An endpoint, locked: tenant, id.
select e.id::text, e.url, e.types, e.disabled_at, e.salt, e.bot::text from webhook_endpoints e
where e.tenant = $1 and e.id = $2 and e.removed_at is null for no key update

-- name: edit
-- Null leaves a field as it is: tenant, id, url, types, note.
update webhook_endpoints set url = coalesce($3, url), types = coalesce($4::text[], types), note = coalesce($5, note)
where tenant = $1 and id = $2

-- name: types
-- The types of the endpoints of a tenant that get events: tenant.
select e.types, e.bot is not null as is_of_bot from webhook_endpoints e where e.tenant = $1 and e.disabled_at is null and e.removed_at is null

-- name: disable
-- No row if it is disabled already: tenant, id, reason, now.
update webhook_endpoints set disabled_at = $4, disabled_reason = $3
where tenant = $1 and id = $2 and disabled_at is null and removed_at is null
returning id::text

-- name: enable
-- Tenant, id.
update webhook_endpoints set disabled_at = null, disabled_reason = null, failing_since = null where tenant = $1 and id = $2

-- name: rotate
-- Tenant, id, new salt, time until which the previous one signs too.
update webhook_endpoints set previous_salt = salt, salt = $3, previous_until = $4 where tenant = $1 and id = $2

-- name: remove
-- Tenant, id, now.
update webhook_endpoints set removed_at = $3, disabled_at = coalesce(disabled_at, $3), disabled_reason = coalesce(disabled_reason, 'removed')
where tenant = $1 and id = $2

-- name: active
-- Endpoints that get events, by id: after (id, tenant), limit.
select e.tenant, e.id::text, e.bot::text, e.url, e.types, e.salt, case when e.previous_until > now_ms() then e.previous_salt end as previous_salt,
    e.failing_since
from webhook_endpoints e
where (e.id, e.tenant) > ($1::uuid, $2::text) and e.disabled_at is null and e.removed_at is null
order by e.id, e.tenant limit $3

-- name: note_failure
-- Tenant, id, now, error. Returns since when it fails.
update webhook_endpoints set failing_since = coalesce(failing_since, $3), last_error = $4
where tenant = $1 and id = $2 and removed_at is null
returning failing_since

-- name: note_success
-- Tenant, id.
update webhook_endpoints set failing_since = null, last_error = null where tenant = $1 and id = $2 and failing_since is not null

-- name: next_tenant
-- The next tenant with endpoints: tenant.
select e.tenant from webhook_endpoints e where e.tenant > $1 order by e.tenant, e.id limit 1

-- name: make_due
-- Let all streams of an endpoint begin at once that wait for their next attempt: tenant, endpoint.
update webhook_streams s set due_at = now_ms()
where s.endpoint = $2 and s.tenant = $1 and s.due_at > now_ms() and s.claim is null

-- name: of_bot
-- The endpoint of a bot: tenant, bot.
select e.id::text from webhook_endpoints e where e.tenant = $1 and e.bot = $2 and e.removed_at is null limit 1
