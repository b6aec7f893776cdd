-- name: revs_and_departures
-- The rev of conversations, and the users who have left after a known rev, each with the rev of the departure: tenants,
-- ids, known revs, pairwise.
select c.tenant, c.id::text, c.rev, left_since.users as departed, left_since.revs as departed_at
from unnest($1::text[], $2::uuid[], $3::bigint[]) as k (tenant, id, rev)
join conversations c on c.tenant = k.tenant and c.id = k.id
cross join lateral (
    select coalesce(array_agg(d.user_id::text order by d.rev), '{}') as users, coalesce(array_agg(d.rev order by d.rev), '{}') as revs
    from former_members d
    where d.tenant = c.tenant and d.conversation = c.id and d.rev > k.rev and d.rev <= c.rev
) as left_since

-- name: changed_conversations
-- Conversations of these users that changed at or after a horizon: tenants, users, pairwise; horizon.
select c.tenant, c.id::text, c.kind, c.rev, c.blocked, array_agg(b.user_id::text) as users
from unnest($1::text[], $2::uuid[]) as u (tenant, id)
join members b on b.tenant = u.tenant and b.user_id = u.id
join conversations c on c.tenant = b.tenant and c.id = b.conversation
where c.changed >= $3::text::xid8
group by c.tenant, c.id, c.kind, c.rev, c.blocked

-- name: conversation_and_members
-- A conversation, and the members among these users: tenant, conversation, users.
select c.tenant, c.id::text, c.kind, c.rev, c.blocked, array(
    select b.user_id::text from members b where b.tenant = c.tenant and b.conversation = c.id and b.user_id = any($3::uuid[])
) as users
from conversations c where c.tenant = $1 and c.id = $2

-- name: ended_memberships
-- The former members among these users, at or after a horizon: tenants, users, pairwise; horizon.
select d.tenant, d.conversation::text, d.rev, array_agg(d.user_id::text) as users
from unnest($1::text[], $2::uuid[]) as u (tenant, id)
join former_members d on d.tenant = u.tenant and d.user_id = u.id
where d.changed >= $3::text::xid8
group by d.tenant, d.conversation, d.rev
order by d.conversation, d.rev

-- name: users_with_own_changes
-- Those of these users whose own state changed at or after a horizon: tenants, users, pairwise; horizon.
select u.tenant, u.id::text as user
from unnest($1::text[], $2::uuid[]) as u (tenant, id)
where exists (select 1 from members b where b.tenant = u.tenant and b.user_id = u.id and b.changed >= $3::text::xid8 offset 0)
    or exists (select 1 from marks k where k.tenant = u.tenant and k.user_id = u.id and k.changed >= $3::text::xid8 offset 0)
    or exists (select 1 from thread_followers f where f.tenant = u.tenant and f.user_id = u.id and f.changed >= $3::text::xid8 offset 0)
    or exists (select 1 from user_settings s where s.tenant = u.tenant and s.user_id = u.id and s.changed >= $3::text::xid8 offset 0)
