-- name: use
-- The bot with this secret, if it is valid: hash, now. Its last use is written at most once a minute.
with found as (
    select t.tenant, t.user_id, t.id, t.expires_at, t.last_used_at from bot_tokens t
    where t.hash = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)
    union all
    select t.tenant, t.user_id, t.previous_id, least(t.previous_until, t.expires_at), t.last_used_at from bot_tokens t
    where t.previous_hash = $1 and t.previous_until > $2 and t.revoked_at is null and (t.expires_at is null or t.expires_at > $2)
),
noted as (
    update bot_tokens t set last_used_at = $2::bigint
    from found f
    where t.user_id = f.user_id and t.tenant = f.tenant and coalesce(f.last_used_at, 0) <= $2::bigint - 60000
        and coalesce(t.last_used_at, 0) <= $2::bigint - 60000
)
select f.tenant, f.user_id::text as user, f.id::text as token_id, f.expires_at from found f

-- name: lock
-- The token of a bot: tenant, bot.
select t.id::text, t.hash, t.previous_id::text, t.revoked_at, t.expires_at
from bot_tokens t where t.tenant = $1 and t.user_id = $2 for no key update

-- name: write
-- Replace the token of a bot: tenant, bot, id, hash, now, expiry (null: never); the secret before: its id, its hash, its
-- end (null: none).
insert into bot_tokens (tenant, user_id, id, hash, created_at, expires_at, previous_id, previous_hash, previous_until)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (user_id, tenant) do update
set id = $3, hash = $4, created_at = $5, expires_at = $6, previous_id = $7, previous_hash = $8, previous_until = $9, revoked_at = null

-- name: revoke
-- Revoke the token of a bot. Returns the ids of its sessions: tenant, bot, now.
update bot_tokens set revoked_at = $3 where tenant = $1 and user_id = $2 and revoked_at is null
returning id::text, previous_id::text

-- name: end_sessions
-- Let no session of a token continue: tenant, id, until when that is noted.
insert into revoked_tokens (tenant, token_id, expires_at) values ($1, $2, $3) on conflict do nothing

-- name: end_overlaps
-- Forget previous secrets that are not valid any more, and let no session of theirs continue: now, limit, until when that
-- is noted.
with over as materialized (
    select t.ctid, t.tenant, t.previous_id from bot_tokens t
    where t.previous_until <= $1::bigint
    order by t.previous_until limit $2 for no key update skip locked
),
forgotten as (
    update bot_tokens t set previous_id = null, previous_hash = null, previous_until = null
    where t.ctid = any(array(select o.ctid from over o))
)
insert into revoked_tokens (tenant, token_id, expires_at)
select o.tenant, o.previous_id::text, $3::bigint from over o
on conflict (tenant, token_id) do update set expires_at = excluded.expires_at
returning token_id

-- name: forget
-- Tenant, user.
delete from bot_tokens where tenant = $1 and user_id = $2
