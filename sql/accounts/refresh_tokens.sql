-- name: rotate
-- Replace a refresh token by the next one of its login: hash, now, hash of the next one, its expiry, tenants whose
-- tokens this server issues, allowed rotations of a login per hour, since when a used token may be repeated, network of
-- the client. No row for an unknown token. `state` is `rotated`, `repeated` (used before, but recently), `expired`, `ended` (the login had
-- ended), `reused` (used before: the login ends), `too_often`, or `foreign` (of another tenant).
with presented as (
    select t.tenant, t.login, l.user_id, case
        when not t.tenant = any($5::text[]) then 'foreign'
        when l.ended_at is not null then 'ended'
        when t.used_at > $7 then 'repeated'
        when t.used_at is not null then 'reused'
        when t.expires_at <= $2 then 'expired'
        when $6 <= (
            select count(*) from refresh_tokens u where u.tenant = t.tenant and u.login = t.login and u.used_at > $2 - 3600000
        ) then 'too_often'
        else 'rotated'
    end as state
    from refresh_tokens t
    join logins l on l.tenant = t.tenant and l.id = t.login
    where t.hash = $1
    for update of t, l
),
used_token as (
    update refresh_tokens t set used_at = $2 from presented where t.hash = $1 and presented.state = 'rotated'
),
new_token as (
    insert into refresh_tokens (hash, tenant, login, expires_at) select $3, tenant, login, $4 from presented where state = 'rotated'
),
seen_login as (
    update logins l set
        last_seen = greatest(l.last_seen, $2), address = coalesce($8, l.address),
        ended_at = case when presented.state = 'reused' then $2 end
    from presented
    where l.tenant = presented.tenant and l.id = presented.login and l.ended_at is null and presented.state in ('rotated', 'reused')
)
select tenant, user_id::text as user, login::text, state from presented

-- name: find_unused
-- The position in these hashes, from 1, of the token that a login has not used: hashes, tenant, login.
select array_position($1::bytea[], t.hash) as position
from refresh_tokens t
join logins l on l.tenant = t.tenant and l.id = t.login
where t.hash = any($1) and t.tenant = $2 and t.login = $3 and t.used_at is null and l.ended_at is null
limit 1
