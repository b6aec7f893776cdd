-- name: ensure_tenants
-- Names, now.
insert into tenants (id, created_at) select name, $2 from unnest($1::text[]) as t (name) on conflict do nothing

-- name: create_user
-- Create the user of a token that names them for the first time: tenant, user, now, external id, name, picture, locale,
-- roles, hashes of the claims, when the token was issued (null for what the token does not have).
insert into users (tenant, id, created_at, external_id, name, picture_url, locale, roles, claims, claims_at)
values ($1, $2, $3, $4, $5, $6, $7, coalesce($8::text[], '{}'), $9, $10)
on conflict do nothing

-- name: take_claims
-- Store the claims of a token, unless those of a later one are stored: tenant, user, external id, name, picture, locale,
-- roles (null for what stays), hashes of the claims, when the token was issued. No row if nothing changes.
update users set
    external_id = coalesce($3, external_id), name = coalesce($4, name), picture_url = coalesce($5, picture_url),
    locale = coalesce($6, locale), roles = coalesce($7::text[], roles), claims = $8, claims_at = $9::bigint
where tenant = $1 and id = $2 and erased_at is null and claims is distinct from $8 and coalesce(claims_at, 0) <= $9::bigint
returning 1

-- name: redeem_ticket
-- Hash, now.
delete from connection_tickets where hash = $1 and expires_at > $2
returning tenant, user_id::text as user, token_id, login, scope, token_expires_at as expires_at, external_id

-- name: session_state
-- The state of a session that begins: tenant, user, token id, login (null: none), address hashes, now.
-- `last_seen` is null if there is no such login.
select
    u.id is not null as user_exists, coalesce(u.bot, false) as is_bot, u.claims, u.claims_at,
    coalesce(u.deactivated_at is not null and u.erased_at is null, false) as is_deactivated,
    u.erased_at is not null
    or exists (select 1 from revoked_tokens r where r.tenant = $1 and r.token_id = $3)
    or l.ended_at is not null as revoked,
    l.last_seen,
    ban.banned_until, ban.ban_reason,
    current.match::text, current.announced,
    p.conversations, p.revs, p.blocked
from (
    select coalesce(array_agg(b.conversation::text), '{}') as conversations, coalesce(array_agg(c.rev), '{}') as revs,
        coalesce(array_agg(b.conversation::text) filter (where c.blocked), '{}') as blocked
    from members b
    join conversations c on c.tenant = b.tenant and c.id = b.conversation
    where b.tenant = $1 and b.user_id = $2
) as p
left join users u on u.tenant = $1 and u.id = $2
left join logins l on l.tenant = $1 and l.id = $4::uuid
left join match_members current on current.tenant = $1 and current.user_id = $2 and current.ended_at is null
left join lateral (
    select coalesce(b.expires_at, 9223372036854775807) as banned_until, b.reason as ban_reason
    from (
        select * from bans where tenant = $1 and user_id = $2 and lifted_at is null
        union all
        select * from bans where tenant = $1 and address_hash = any($5::bytea[]) and lifted_at is null
    ) as b
    where b.expires_at is null or b.expires_at > $6
    order by 1 desc limit 1
) as ban on true

-- name: session_states
-- The states of several sessions that begin, by number from 1: tenants, users, token ids, logins (null: none), address
-- hashes (the same number for each session, some null), how many these are, now, the most
-- conversations to read for one session. `too_many`: the user has more; see session_state.
select
    s.number,
    u.id is not null as user_exists, coalesce(u.bot, false) as is_bot, u.claims, u.claims_at,
    coalesce(u.deactivated_at is not null and u.erased_at is null, false) as is_deactivated,
    u.erased_at is not null
    or exists (select 1 from revoked_tokens r where r.tenant = s.tenant and r.token_id = s.token_id)
    or l.ended_at is not null as revoked,
    l.last_seen,
    ban.banned_until, ban.ban_reason,
    current.match::text, current.announced,
    p.conversations, p.revs, p.blocked, cardinality(p.conversations) > $8 as too_many
from unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[]) with ordinality as s (tenant, user_id, token_id, login, number)
cross join lateral (
    select coalesce(array_agg(m.conversation::text), '{}') as conversations, coalesce(array_agg(m.rev), '{}') as revs,
        coalesce(array_agg(m.conversation::text) filter (where m.blocked), '{}') as blocked
    from (
        select b.conversation, c.rev, c.blocked
        from members b
        join conversations c on c.tenant = b.tenant and c.id = b.conversation
        where b.tenant = s.tenant and b.user_id = s.user_id
        limit $8 + 1
    ) as m
) as p
left join users u on u.tenant = s.tenant and u.id = s.user_id
left join logins l on l.tenant = s.tenant and l.id = s.login
left join match_members current on current.tenant = s.tenant and current.user_id = s.user_id and current.ended_at is null
left join lateral (
    select coalesce(b.expires_at, 9223372036854775807) as banned_until, b.reason as ban_reason
    from (
        select * from bans where tenant = s.tenant and user_id = s.user_id and lifted_at is null
        union all
        select * from bans
        where tenant = s.tenant and address_hash = any(($5::bytea[])[(s.number - 1) * $6::int + 1 : s.number * $6::int]) and lifted_at is null
    ) as b
    where b.expires_at is null or b.expires_at > $7
    order by 1 desc limit 1
) as ban on true

-- name: credential_state
-- Whether a credential is still accepted: tenant, user, token id, login (null: none), address hashes, now.
-- `last_seen` is null if there is no such login.
select
    u.id is not null as user_exists, coalesce(u.bot, false) as is_bot, u.claims, u.claims_at,
    coalesce(u.deactivated_at is not null and u.erased_at is null, false) as is_deactivated,
    u.erased_at is not null
    or exists (select 1 from revoked_tokens r where r.tenant = $1 and r.token_id = $3)
    or l.ended_at is not null as revoked,
    l.last_seen,
    ban.banned_until, ban.ban_reason
from (select 1) as single_row
left join users u on u.tenant = $1 and u.id = $2
left join logins l on l.tenant = $1 and l.id = $4::uuid
left join lateral (
    select coalesce(b.expires_at, 9223372036854775807) as banned_until, b.reason as ban_reason
    from (
        select * from bans where tenant = $1 and user_id = $2 and lifted_at is null
        union all
        select * from bans where tenant = $1 and address_hash = any($5::bytea[]) and lifted_at is null
    ) as b
    where b.expires_at is null or b.expires_at > $6
    order by 1 desc limit 1
) as ban on true
