-- name: page
-- Users in the order of their ids, the highest first: tenant, before this one (null: all), limit.
select u.id::text as user, u.name, u.handle, u.anonymous, u.created_at, u.shadow_banned as shadow, u.deactivated_at, u.erased_at
from users u
where u.tenant = $1 and u.id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by u.id desc limit $3

-- name: by_id
-- Tenant, user.
select u.id::text as user, u.name, u.handle, u.anonymous, u.created_at, u.shadow_banned as shadow, u.deactivated_at, u.erased_at
from users u where u.tenant = $1 and u.id = $2

-- name: by_name
-- Users of whom a word of the name, or the handle, begins with a text: tenant, the text, the text after the last one,
-- entries to read, limit.
select distinct on (e.user_id) u.id::text as user, u.name, u.handle, u.anonymous, u.created_at, u.shadow_banned as shadow,
    u.deactivated_at, u.erased_at
from (
    select n.user_id from user_names n
    where n.tenant = $1 and n.text >= $2 and n.text < $3
    order by n.text, n.user_id limit $4
) as e
join users u on u.tenant = $1 and u.id = e.user_id
order by e.user_id limit $5

-- name: logins
-- The logins of a user, the last used one first, with those that have ended: tenant, user, limit.
select l.id::text, l.name, l.platform, l.created_at, l.last_seen, l.address, l.ended_at, l.is_external
from logins l where l.tenant = $1 and l.user_id = $2
order by l.ended_at is not null, l.last_seen desc, l.id desc limit $3

-- name: bans
-- The bans of a user, the latest first: tenant, user, limit.
select b.id::text, b.user_id::text as user, 'user' as kind, b.reason, b.actor, b.created_at, b.expires_at, b.lifted_at
from bans b where b.tenant = $1 and b.user_id = $2 order by b.id desc limit $3

-- name: profile
-- What a user shows of themselves: tenant, user.
select u.handle, u.status_text, u.external_id, u.avatar::text, u.picture_url, u.locale, u.time_zone, u.roles,
    u.deactivated_at, u.erased_at
from users u where u.tenant = $1 and u.id = $2
