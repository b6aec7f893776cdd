-- name: ended_sessions
-- Sessions whose login has ended or whose access token is revoked, and since when (0: unknown): session ids, tenants,
-- logins (null: none), token ids, all pairwise.
select s.session, s.tenant, coalesce(l.ended_at, 0) as at
from unnest($1::text[], $2::text[], $3::uuid[], $4::text[]) as s (session, tenant, login, token)
left join logins l on l.tenant = s.tenant and l.id = s.login
where s.login is not null and (l.id is null or l.ended_at is not null)
    or exists (select 1 from revoked_tokens r where r.tenant = s.tenant and r.token_id = s.token)

-- name: banned
-- The banned ones of these users, and since when: tenants, users, pairwise; now.
select b.tenant, b.user_id::text, max(b.created_at) as at
from unnest($1::text[], $2::uuid[]) as u (tenant, id)
join bans b on b.tenant = u.tenant and b.user_id = u.id
where b.lifted_at is null and (b.expires_at is null or b.expires_at > $3)
group by b.tenant, b.user_id

-- name: erased
-- The erased and deactivated ones of these users, and since when: tenants, users, pairwise.
select u.tenant, u.id::text as user_id, coalesce(u.erased_at, u.deactivated_at) as at
from unnest($1::text[], $2::uuid[]) as w (tenant, id)
join users u on u.tenant = w.tenant and u.id = w.id
where coalesce(u.erased_at, u.deactivated_at) is not null
