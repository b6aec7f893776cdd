-- name: sign_up
-- The user of a device, made when there is none: tenant, new user id, name, device key (null for none), now.
-- Two first sign-ups of one device at once: the second one's user goes to the device that was there first.
with known as (
    select user_id from devices where tenant = $1 and key_hash = $4::bytea
),
made as (
    insert into users (tenant, id, name, anonymous, created_at)
    select $1, $2, $3, true, $5 where not exists (select 1 from known)
    returning id
),
renamed as (
    update users set name = $3 where tenant = $1 and id = (select user_id from known) and $3::text is not null
),
device as (
    insert into devices (tenant, key_hash, user_id, created_at)
    select $1, $4::bytea, id, $5 from made where $4::bytea is not null
    on conflict (key_hash, tenant) do update set created_at = devices.created_at
    returning user_id
)
select coalesce((select user_id from known), (select user_id from device), (select id from made))::text

-- name: begin_login
-- Tenant, login, user, now.
insert into logins (tenant, id, user_id, created_at) values ($1, $2, $3, $4)

-- name: add_refresh_token
-- Hash, tenant, login, end.
insert into refresh_tokens (hash, tenant, login, expires_at) values ($1, $2, $3, $4)

-- name: use_refresh_token
-- Mark it used and say whose it is; no row when it is used, expired, unknown, or of an ended login: hash, now.
update refresh_tokens t set used_at = $2
from logins l
where t.hash = $1 and t.used_at is null and t.expires_at > $2
    and l.tenant = t.tenant and l.id = t.login and l.ended_at is null
returning t.tenant, l.user_id::text as user, t.login::text

-- name: end_login_of_used_token
-- End the login of a token that was used before: hash, now.
update logins l set ended_at = $2
from refresh_tokens t
where t.hash = $1 and t.used_at is not null and l.tenant = t.tenant and l.id = t.login and l.ended_at is null
returning l.tenant, l.user_id::text as user, l.id::text as login

-- name: add_ticket
-- Hash, tenant, user, token id, login, scope, end of the token, end of the ticket.
insert into tickets (hash, tenant, user_id, token_id, login, scope, token_expires_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: revoke_token
-- Tenant, token id, end.
insert into revoked_tokens (tenant, token_id, expires_at) values ($1, $2, $3) on conflict do nothing

-- name: end_logins
-- Tenant, user, login (null for none), all of them, now.
update logins set ended_at = $5
where tenant = $1 and user_id = $2 and ended_at is null and (id = $3::uuid or $4::boolean)

-- name: sweep
-- Forget what has expired, a bounded number at a time: now, oldest ended login to keep.
with tokens as (
    delete from refresh_tokens where hash in (select hash from refresh_tokens where expires_at < $1 limit 10000)
),
revoked as (
    delete from revoked_tokens
    where (tenant, token_id) in (select tenant, token_id from revoked_tokens where expires_at < $1 limit 10000)
),
spent as (
    delete from tickets where hash in (select hash from tickets where expires_at < $1 limit 10000)
)
delete from logins
where (tenant, id) in (
    select tenant, id from logins
    where ended_at < $2
        or not exists (select 1 from refresh_tokens t where t.tenant = logins.tenant and t.login = logins.id)
            and created_at < $2
    limit 10000
)
