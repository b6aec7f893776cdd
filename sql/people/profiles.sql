-- name: own
-- The profile of a user, as they see it: tenant, user.
select u.id::text, u.name, u.handle, u.avatar::text, u.picture_url, u.status_text, u.profile, u.locale, u.time_zone, u.external_id,
    u.roles, u.profile_version, u.bot
from users u where u.tenant = $1 and u.id = $2 and u.erased_at is null

-- name: find
-- Users, as another user sees them: tenant, viewer, ids, epoch and horizon of the cursor. `is_changed`: at or after the
-- horizon. At least one row: the present horizon, which is read by the same statement, so from the same snapshot.
with snapshot as (
    select current_epoch() as epoch, pg_snapshot_xmin(pg_current_snapshot()) as horizon
)
select s.epoch, s.horizon::text as horizon, p.*, p.profile_changed >= s.since as is_changed
from (select epoch, horizon, case when epoch = $4::text then $5::text::xid8 else '0'::xid8 end as since from snapshot) as s
left join lateral (
    select u.id::text, u.name, u.handle, u.avatar::text, u.picture_url, u.status_text, u.profile, u.profile_version, u.bot,
        u.profile_changed, u.erased_at is not null as is_deleted,
        exists (select 1 from blocks b where b.tenant = u.tenant and b.blocker = u.id and b.blocked_as = $2) as is_blocked
    from users u where u.tenant = $1 and u.id = any($3::uuid[])
) as p on true

-- name: find_by_handle
-- The user with a handle, unless they have blocked the viewer: tenant, viewer, key of the handle, handle.
select u.id::text, u.name, u.handle, u.avatar::text, u.picture_url, u.status_text, u.profile, u.profile_version, u.bot,
    false as is_deleted, false as is_blocked
from users u
where u.tenant = $1 and u.handle_key = $3 and u.handle = $4
    and not exists (select 1 from blocks b where b.tenant = u.tenant and b.blocker = u.id and b.blocked_as = $2)

-- name: names
-- Tenant, users.
select u.id::text, u.name from users u where u.tenant = $1 and u.id = any($2::uuid[])

-- name: lock
-- Lock the profile of a user: tenant, user.
select u.handle, u.handle_key from users u where u.tenant = $1 and u.id = $2 and u.erased_at is null for no key update

-- name: own_image
-- An image that the user has uploaded: tenant, user, upload.
select 1 from uploads u
where u.tenant = $1 and u.owner = $2 and u.id = $3 and u.removed_at is null and u.mime like 'image/%'
for share of u

-- name: update
-- Change a profile; null leaves a field unchanged, and '' removes it: tenant, user, name, handle, key of the handle,
-- avatar, status text, locale, time zone, profile. `indexed`: the name is in the index of names.
update users u
set name = case when $3::text is null then name else nullif($3, '') end,
    handle = case when $4::text is null then handle else nullif($4, '') end,
    handle_key = case when $4::text is null then handle_key else nullif($5, '') end,
    avatar = case when $6::text is null then avatar else nullif($6, '')::uuid end,
    status_text = case when $7::text is null then status_text else nullif($7, '') end,
    locale = case when $8::text is null then locale else nullif($8, '') end,
    time_zone = case when $9::text is null then time_zone else nullif($9, '') end,
    profile = coalesce($10::jsonb, profile)
where u.tenant = $1 and u.id = $2
returning u.id::text, u.name, u.handle, u.avatar::text, u.picture_url, u.status_text, u.profile, u.locale, u.time_zone, u.external_id,
    u.roles, u.profile_version, u.bot

-- name: touch_user_settings
-- Mark what is the user's own as changed, for session.sync: tenant, user.
insert into user_settings (tenant, user_id) values ($1, $2)
on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
