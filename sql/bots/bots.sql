-- name: lock_tenant
-- Bots of a tenant are added one after the other, so that their count is exact: tenant.
select 1 from tenants t where t.id = $1 for no key update

-- name: count
-- The number of bots, up to a limit: tenant, limit.
select count(*) from (select 1 from bots b where b.tenant = $1 order by b.user_id limit $2) as n

-- name: insert_user
-- Tenant, id, name, handle, its key, picture (null: none), what it reads, now.
insert into users (tenant, id, name, handle, handle_key, picture_url, bot, bot_reads, created_at)
values ($1, $2, $3, $4, $5, $6, true, $7, $8)
returning id::text, name, handle

-- name: insert
-- Tenant, bot, description, actor, now.
insert into bots (tenant, user_id, description, added_by, created_at) values ($1, $2, $3, $4, $5)

-- name: lock
-- A bot that is not removed: tenant, bot.
select u.id::text, u.handle_key from users u
join bots b on b.tenant = u.tenant and b.user_id = u.id
where u.tenant = $1 and u.id = $2 and u.bot and u.erased_at is null for no key update of u

-- name: update_user
-- Null leaves a field as it is, '' removes a picture: tenant, bot, name, handle, its key, picture, what it reads.
update users u set name = coalesce($3, name), handle = coalesce($4, handle), handle_key = coalesce($5, handle_key),
    picture_url = case when $6::text is null then picture_url else nullif($6, '') end, bot_reads = coalesce($7, bot_reads)
where u.tenant = $1 and u.id = $2
returning u.id::text, u.name, u.handle

-- name: update
-- Tenant, bot, description (null: unchanged).
update bots set description = coalesce($3, description) where tenant = $1 and user_id = $2

-- name: page
-- The bots of a tenant with the state of their tokens and endpoints, or one of them: tenant, bot (null: all), after this
-- one, limit.
select u.id::text, u.handle, u.name, u.picture_url, u.avatar::text, u.bot_reads as reads, b.description, b.added_by, b.created_at,
    u.deactivated_at,
    t.created_at as issued_at, t.expires_at, t.revoked_at, t.last_used_at, t.previous_until,
    e.id::text as endpoint, e.url, e.disabled_at, e.disabled_reason, e.failing_since,
    (select count(*) from bot_commands c where c.tenant = b.tenant and c.bot = b.user_id) as commands
from bots b
join users u on u.tenant = b.tenant and u.id = b.user_id and u.erased_at is null
left join bot_tokens t on t.tenant = b.tenant and t.user_id = b.user_id
left join lateral (
    select e.* from webhook_endpoints e where e.tenant = b.tenant and e.bot = b.user_id and e.removed_at is null order by e.id limit 1
) as e on true
where b.tenant = $1 and ($2::uuid is null or b.user_id = $2) and b.user_id > $3
order by b.user_id limit $4

-- name: find_by_handle
-- Tenant, handle, its key.
select u.id::text from users u
where u.tenant = $1 and u.handle_key = $3 and u.handle = $2 and u.bot and u.erased_at is null

-- name: forget
-- Tenant, user.
delete from bots where tenant = $1 and user_id = $2

-- name: export
-- What a bot is: tenant, user, limit.
select b.user_id::text as bot, b.description, b.added_by, b.created_at, u.bot_reads as reads
from bots b join users u on u.tenant = b.tenant and u.id = b.user_id
where b.tenant = $1 and b.user_id = $2 limit $3
