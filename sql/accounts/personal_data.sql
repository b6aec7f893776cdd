-- name: profile
-- Tenant, user, limit.
select u.id::text as user, u.tenant, u.external_id, u.name, u.picture_url, u.locale, u.roles, u.handle, u.avatar::text,
    u.status_text, u.time_zone, u.profile, u.anonymous, u.bot, u.created_at, u.deactivated_at, u.erased_at,
    (select count(*) from devices d where d.tenant = u.tenant and d.user_id = u.id) as devices,
    (select count(*) from logins l where l.tenant = u.tenant and l.user_id = u.id and l.ended_at is null) as logins
from users u
where u.tenant = $1 and u.id = $2 limit $3

-- name: logins
-- One page after a login, ended ones included: tenant, user, limit, after this one.
select l.id::text as login, l.name, l.platform, l.address, l.created_at, l.last_seen, l.ended_at
from logins l
where l.tenant = $1 and l.user_id = $2 and l.id > $4::uuid
order by l.id limit $3

-- name: forget
-- Delete all credentials. Refresh tokens are deleted with their logins: tenant, user.
with devices as (
    delete from devices where tenant = $1 and user_id = $2
),
spent as (
    delete from connection_tickets where tenant = $1 and user_id = $2
)
delete from logins where tenant = $1 and user_id = $2
