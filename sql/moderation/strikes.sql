-- name: lock_user
-- Strikes of a user are counted one at a time: tenant, user.
select 1 from users u where u.tenant = $1 and u.id = $2 for no key update

-- name: add
-- Tenant, id, user, reason, actor, now, expiry (null: never).
insert into strikes (tenant, id, user_id, reason, actor, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)

-- name: count
-- The strikes that count: tenant, user, now.
select count(*) from strikes s where s.tenant = $1 and s.user_id = $2 and (s.expires_at is null or s.expires_at > $3)

-- name: page
-- The strikes of a user, the latest first: tenant, user, limit.
select s.id::text, s.reason, s.actor, s.created_at, s.expires_at
from strikes s where s.tenant = $1 and s.user_id = $2 order by s.id desc limit $3
