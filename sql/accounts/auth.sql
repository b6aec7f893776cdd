-- name: sign_up
-- Create a login with its first refresh token, for the user of the device or a new user: tenant, new user id, name,
-- device key (null: none), now, new login id, hash of the refresh token, its expiry, name, platform and network of the
-- login. `is_renamed`: the user has another name now. Of two concurrent first sign-ups of one device, the second gets the
-- user of the first.
with known_device as (
    select user_id from devices where tenant = $1 and key_hash = $4::bytea
),
new_user as (
    insert into users (tenant, id, name, anonymous, created_at)
    select $1, $2, $3, true, $5 where not exists (select 1 from known_device)
    returning id
),
renamed_user as (
    update users set name = $3 where tenant = $1 and id = (select user_id from known_device)
        and $3::text is not null and name is distinct from $3
    returning id
),
new_device as (
    insert into devices (tenant, key_hash, user_id, created_at)
    select $1, $4::bytea, id, $5 from new_user where $4::bytea is not null
    on conflict (key_hash, tenant) do update set created_at = devices.created_at
    returning user_id
),
new_login as (
    insert into logins (tenant, id, user_id, created_at, last_seen, name, platform, address)
    select $1, $6, coalesce((select user_id from known_device), (select user_id from new_device), (select id from new_user)), $5, $5, $9, $10, $11
    returning id, user_id
),
new_token as (
    insert into refresh_tokens (hash, tenant, login, expires_at) select $7, $1, id, $8 from new_login
)
select user_id::text as user, exists (select 1 from renamed_user) as is_renamed from new_login

-- name: add_login
-- Create a login with its first refresh token: tenant, user, login id, now, hash of the refresh token, its expiry.
with new_login as (
    insert into logins (tenant, id, user_id, created_at, last_seen) values ($1, $3, $2, $4, $4) returning tenant, id
)
insert into refresh_tokens (hash, tenant, login, expires_at) select $5, tenant, id, $6 from new_login

-- name: limit_logins
-- End all logins of a user except the newest ones. Of the logins that ended more than an hour ago, keep the same number
-- and delete the rest. Returns the ids of the logins that end now: tenant, user, number of logins to keep, now.
with deleted as (
    delete from logins where tenant = $1 and id in (
        select id from logins
        where tenant = $1 and user_id = $2 and ended_at < $4::bigint - 3600000 and not is_external
        order by ended_at desc offset $3
    )
)
update logins l set ended_at = $4::bigint
from (
    select id from logins where tenant = $1 and user_id = $2 and ended_at is null order by created_at desc, id desc offset $3
) as surplus
where l.tenant = $1 and l.id = surplus.id
returning l.id::text

-- name: add_ticket
-- Hash, tenant, user, token id, login, scope, external id, expiry of the token, expiry of the ticket.
insert into connection_tickets (hash, tenant, user_id, token_id, login, scope, external_id, token_expires_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: log_out
-- Revoke an access token and end its login, or all logins of the user: tenant, user, login (null: none), all, now,
-- token id, its expiry. Returns the ids of the logins that end.
with revoked_token as (
    insert into revoked_tokens (tenant, token_id, expires_at) values ($1, $6, $7) on conflict do nothing
)
update logins set ended_at = $5
where tenant = $1 and user_id = $2 and ended_at is null and (id = $3::uuid or $4::boolean)
returning id::text

-- name: sweep_refresh_tokens
-- Delete expired tokens, and end the logins that have no other token. Returns the number of tokens: now, limit.
with deleted as (
    delete from refresh_tokens
    where ctid = any(array(select o.ctid from refresh_tokens o where o.expires_at < $1 order by o.expires_at limit $2))
    returning tenant, login
),
ended as (
    update logins set ended_at = $1
    where ended_at is null and ctid = any(array(
        select l.ctid
        from (select distinct tenant, login from deleted) as g
        cross join lateral (select l.ctid from logins l where l.tenant = g.tenant and l.id = g.login limit 1) as l
        where not exists (
            select 1 from refresh_tokens t where t.tenant = g.tenant and t.login = g.login and t.expires_at >= $1 offset 0
        )
    ))
)
select count(*) from deleted

-- name: sweep_revoked_tokens
-- Delete tokens that have expired by the clocks of all nodes. Returns their number: latest expiry, limit.
with deleted as (
    delete from revoked_tokens
    where ctid = any(array(select o.ctid from revoked_tokens o where o.expires_at < $1 order by o.expires_at limit $2)) returning 1
)
select count(*) from deleted

-- name: sweep_tickets
-- Delete expired connection tickets. Returns their number: now, limit.
with deleted as (
    delete from connection_tickets
    where ctid = any(array(select o.ctid from connection_tickets o where o.expires_at < $1 order by o.expires_at limit $2)) returning 1
)
select count(*) from deleted

-- name: sweep_logins
-- Delete ended logins. Returns their number: oldest to keep, limit.
with deleted as (
    delete from logins
    where ctid = any(array(select o.ctid from logins o where o.ended_at < $1 and not o.is_external order by o.ended_at limit $2)) returning 1
)
select count(*) from deleted
