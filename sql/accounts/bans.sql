-- name: add
-- Add a ban and its entry in the audit log: tenant, id, user, device hash, address hash (one of the three), reason,
-- actor, now, end (null: permanent).
with new_ban as (
    insert into bans (tenant, id, user_id, device_hash, address_hash, reason, actor, created_at, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
)
insert into audit_log (tenant, id, at, actor, act, subject, details)
values ($1, $2, $8, $7, 'ban.add', coalesce($3::uuid::text, 'a device or a range of addresses'),
    jsonb_build_object('reason', $6::text, 'expires_at', $9::bigint))

-- name: lock_user
-- Lock the row of the user to ban: tenant, user.
select 1 from users u where u.tenant = $1 and u.id = $2 for key share

-- name: end_logins
-- End all logins of a user: tenant, user, now.
update logins set ended_at = $3 where tenant = $1 and user_id = $2 and ended_at is null

-- name: devices
-- The devices of a user: tenant, user.
select key_hash from devices where tenant = $1 and user_id = $2

-- name: recent_address_bans
-- Recent bans of address ranges that are in force: tenants, now, oldest.
select b.tenant, b.address_hash, b.created_at as at from bans b
where b.tenant = any($1::text[]) and b.address_hash is not null and b.created_at > $3
    and b.lifted_at is null and (b.expires_at is null or b.expires_at > $2)

-- name: revoke
-- End a ban, and the bans of the devices of the user that were added with it: tenant, id, now, actor, id of the entry in
-- the audit log.
with revoked as (
    update bans set lifted_at = $3 where tenant = $1 and id = $2 and lifted_at is null
    returning tenant, id, user_id, created_at, actor, reason
),
of_devices as (
    update bans b set lifted_at = $3
    from revoked r join devices d on d.tenant = r.tenant and d.user_id = r.user_id
    where b.tenant = r.tenant and b.device_hash = d.key_hash and b.lifted_at is null
        and b.created_at = r.created_at and b.actor = r.actor and b.reason = r.reason
),
audit_entry as (
    insert into audit_log (tenant, id, at, actor, act, subject)
    select revoked.tenant, $5, $3, $4, 'ban.lift', revoked.id::text from revoked
)
select id::text from revoked

-- name: page
-- Bans, the latest first: tenant, limit, the id to continue before (null: from the latest).
select b.id::text, b.user_id::text as user,
    case when b.user_id is not null then 'user' when b.device_hash is not null then 'device' else 'address' end as kind,
    b.reason, b.actor, b.created_at, b.expires_at, b.lifted_at
from bans b
where b.tenant = $1 and b.id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by b.id desc limit $2

-- name: page_in_force
-- Bans in force: tenant, limit, the id to continue before (null: from the latest), now.
select b.id::text, b.user_id::text as user,
    case when b.user_id is not null then 'user' when b.device_hash is not null then 'device' else 'address' end as kind,
    b.reason, b.actor, b.created_at, b.expires_at, b.lifted_at
from bans b
where b.tenant = $1 and b.id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    and b.lifted_at is null and (b.expires_at is null or b.expires_at > $4)
order by b.id desc limit $2

-- name: in_force
-- The longest ban in force of a device or an address, if any: tenant, device hash, address hashes, now.
select coalesce(b.expires_at, 9223372036854775807) as banned_until, b.reason as ban_reason
from (
    select * from bans where tenant = $1 and device_hash = $2 and lifted_at is null
    union all
    select * from bans where tenant = $1 and address_hash = any($3::bytea[]) and lifted_at is null
) as b
where b.expires_at is null or b.expires_at > $4
order by 1 desc limit 1
