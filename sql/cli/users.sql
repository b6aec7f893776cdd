-- name: add
-- No row if the user exists: tenant, id, name, now, external id (null: none).
insert into users (tenant, id, name, created_at, external_id) values ($1, $2, $3, $4, $5)
on conflict do nothing
returning id::text

-- name: show
-- A user: tenant, id.
select
    u.id::text as user, u.tenant, u.external_id, u.name, u.picture_url, u.locale, u.roles, u.anonymous, u.bot, u.created_at, u.deactivated_at, u.erased_at,
    (select count(*) from members b where b.tenant = u.tenant and b.user_id = u.id) as conversations,
    (select count(*) from logins l where l.tenant = u.tenant and l.user_id = u.id and l.ended_at is null) as logins
from users u
where u.tenant = $1 and u.id = $2
