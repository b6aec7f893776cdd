-- name: write
-- Replace the entries of a user: tenant, user, texts, whether each is the handle, the name that is indexed (null: none).
with outdated as (
    delete from user_names n where n.tenant = $1 and n.user_id = $2 and n.text <> all($3::text[])
),
marked as (
    update users set indexed_name = $5 where tenant = $1 and id = $2 and indexed_name is distinct from $5
)
insert into user_names (tenant, user_id, text, is_handle)
select $1, $2, t.text, t.is_handle from unnest($3::text[], $4::boolean[]) as t (text, is_handle)
on conflict (user_id, text, tenant) do update set is_handle = excluded.is_handle where user_names.is_handle <> excluded.is_handle

-- name: claim_unindexed
-- Users whose name is not in the index, locked: limit.
select u.tenant, u.id::text, u.name, u.handle from users u
where u.erased_at is null and u.name is distinct from u.indexed_name
limit $1 for no key update skip locked

-- name: page
-- Users by the beginning of a name or handle: tenant, viewer, first text, position (text, at least the first one, and
-- user), text after the last one, number of entries to read, limit. With a second lower bound beside the position, the
-- range would be read from the beginning of the index. Not shown are the viewer, users who are erased, banned or
-- shadow-banned, and users with a block between them and the viewer. A user with several entries has the place of the
-- first one.
select e.text, u.id::text, u.name, u.handle, u.avatar::text, u.picture_url, u.profile_version, u.bot
from (
    select n.text, n.user_id from user_names n
    where n.tenant = $1 and (n.text, n.user_id) > ($4, $5::uuid) and n.text < $6
    order by n.text, n.user_id limit $7
) as e
join users u on u.tenant = $1 and u.id = e.user_id
where u.id <> $2 and u.erased_at is null and not u.shadow_banned
    and not exists (select 1 from blocks b where b.tenant = $1 and b.blocker = u.id and b.blocked_as = $2 offset 0)
    and not exists (select 1 from blocks b where b.tenant = $1 and b.blocker = $2 and b.blocked_as = u.id offset 0)
    and not exists (
        select 1 from bans b
        where b.tenant = $1 and b.user_id = u.id and b.lifted_at is null and (b.expires_at is null or b.expires_at > now_ms()) offset 0
    )
    and not exists (
        select 1 from user_names o where o.tenant = $1 and o.user_id = e.user_id and o.text >= $3 and o.text < e.text offset 0
    )
order by e.text, e.user_id limit $8

-- name: page_of_handles
-- The same by the beginning of a handle only, without the first text.
select e.text, u.id::text, u.name, u.handle, u.avatar::text, u.picture_url, u.profile_version, u.bot
from (
    select n.text, n.user_id from user_names n
    where n.tenant = $1 and n.is_handle and (n.text, n.user_id) > ($3, $4::uuid) and n.text < $5
    order by n.text, n.user_id limit $6
) as e
join users u on u.tenant = $1 and u.id = e.user_id
where u.id <> $2 and u.erased_at is null and not u.shadow_banned
    and not exists (select 1 from blocks b where b.tenant = $1 and b.blocker = u.id and b.blocked_as = $2 offset 0)
    and not exists (select 1 from blocks b where b.tenant = $1 and b.blocker = $2 and b.blocked_as = u.id offset 0)
    and not exists (
        select 1 from bans b
        where b.tenant = $1 and b.user_id = u.id and b.lifted_at is null and (b.expires_at is null or b.expires_at > now_ms()) offset 0
    )
order by e.text, e.user_id limit $7
