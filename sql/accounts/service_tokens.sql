-- name: use
-- The token with this secret, if it is valid: hash, now. Its last use is written at most once a minute.
with found as (
    select t.tenant, t.id, t.name, t.scopes, t.last_used_at from service_tokens t
    where t.hash = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)
    union all
    select t.tenant, t.id, t.name, t.scopes, t.last_used_at from service_tokens t
    where t.previous_hash = $1 and t.previous_until > $2 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)
),
noted as (
    update service_tokens t set last_used_at = $2::bigint
    from found f
    where t.id = f.id and t.tenant = f.tenant and coalesce(f.last_used_at, 0) <= $2::bigint - 60000
        and coalesce(t.last_used_at, 0) <= $2::bigint - 60000
)
select f.tenant, f.id::text, f.name, f.scopes from found f

-- name: lock
-- Lock the tenant, so that its tokens are added one after the other: tenant.
select 1 from tenants t where t.id = $1 for no key update

-- name: count_valid
-- The number of valid tokens, up to a limit: tenant, now, limit.
select count(*) from (
    select 1 from service_tokens t
    where t.tenant = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)
    order by t.id limit $3
) as v

-- name: insert
-- Tenant, id, name, hash, scopes, now, actor, expiry (null: never).
insert into service_tokens (tenant, id, name, hash, scopes, created_at, actor, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: revoke
-- Tenant, id, now.
update service_tokens set revoked_at = $3 where tenant = $1 and id = $2 and revoked_at is null returning 1

-- name: rotate
-- Replace the secret of a valid token: tenant, id, now, the new hash, the end of the previous secret.
update service_tokens set previous_hash = hash, previous_until = $5, hash = $4
where tenant = $1 and id = $2 and revoked_at is null and (expires_at is null or expires_at > $3) returning 1

-- name: find
-- The valid token with a name: tenant, name, now.
select t.id::text from service_tokens t
where t.tenant = $1 and t.name = $2 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $3)

-- name: list
-- All tokens, the newest first: tenant.
select t.id::text, t.name, t.scopes, t.created_at, t.actor, t.expires_at, t.revoked_at, t.last_used_at, t.previous_until
from service_tokens t where t.tenant = $1 order by t.id desc limit 1000

-- name: sweep_revoked
-- Delete tokens that were revoked before a time. Returns their number: time, limit.
with deleted as (
    delete from service_tokens
    where ctid = any(array(select o.ctid from service_tokens o where o.revoked_at < $1 order by o.revoked_at limit $2)) returning 1
)
select count(*) from deleted

-- name: sweep_expired
-- Delete tokens that expired before a time. Returns their number: time, limit.
with deleted as (
    delete from service_tokens
    where ctid = any(array(select o.ctid from service_tokens o where o.expires_at < $1 order by o.expires_at limit $2)) returning 1
)
select count(*) from deleted
