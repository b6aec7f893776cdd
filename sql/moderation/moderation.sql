-- name: set_shadow
-- Tenant, user, on. No row for an unknown user.
update users u set shadow_banned = $3 where u.tenant = $1 and u.id = $2 returning 1

-- name: exists
-- Tenant, user.
select exists (select 1 from users u where u.tenant = $1 and u.id = $2)

-- name: summary
-- The counts of `admin.user`: tenant, user, now.
select
    u.id::text as user, u.name, u.anonymous, u.bot, u.shadow_banned as shadow, u.created_at,
    (select count(*) from members b where b.tenant = u.tenant and b.user_id = u.id) as conversations,
    (select count(*) from logins l where l.tenant = u.tenant and l.user_id = u.id and l.ended_at is null) as logins,
    (select count(*) from devices d where d.tenant = u.tenant and d.user_id = u.id) as devices,
    (select count(*) from match_members p where p.tenant = u.tenant and p.user_id = u.id) as matches,
    (
        select count(*) from strikes s
        where s.tenant = u.tenant and s.user_id = u.id and (s.expires_at is null or s.expires_at > $3)
    ) as strikes,
    (
        select count(*) from bans b
        where b.tenant = u.tenant and b.user_id = u.id
            and b.lifted_at is null and (b.expires_at is null or b.expires_at > $3)
    ) as bans,
    (select count(*) from reports r where r.tenant = u.tenant and r.target = u.id) as reported,
    (select count(distinct r.reporter) from reports r where r.tenant = u.tenant and r.target = u.id) as reporters,
    (select count(*) from reports r where r.tenant = u.tenant and r.reporter = u.id) as reports
from users u
where u.tenant = $1 and u.id = $2
