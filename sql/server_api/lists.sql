-- Lists of a whole tenant. A page examines a bounded number of rows, also if a filter selects few of them: `edge` is the
-- last one that it examines, and `page` has those up to it that the filters select.

-- name: users_edge
-- The last user of a window, by the time of the last change and the id; no row if there are fewer: tenant, after
-- (updated_at, id), rows before it.
select u.updated_at, u.id::text from users u
where u.tenant = $1 and u.erased_at is null and (u.updated_at, u.id) > ($2::bigint, $3::uuid)
order by u.updated_at, u.id offset $4 limit 1

-- name: users
-- Users in the order of their last change: tenant, after (updated_at, id), up to (updated_at, id), created since, created
-- until (exclusive), whether they have an external id (null: any), limit.
select u.id::text, u.external_id, u.name, u.picture_url, u.locale, u.roles, u.anonymous, u.bot, u.created_at,
    u.deactivated_at, u.updated_at
from users u
where u.tenant = $1 and u.erased_at is null
    and (u.updated_at, u.id) > ($2::bigint, $3::uuid) and (u.updated_at, u.id) <= ($4::bigint, $5::uuid)
    and u.created_at >= $6::bigint and u.created_at < $7::bigint
    and ($8::boolean is null or (u.external_id is not null) = $8)
order by u.updated_at, u.id limit $9

-- name: conversations_edge
-- The last conversation of a window, by id; no row if there are fewer: tenant, after, rows before it.
select c.id::text from conversations c
where c.tenant = $1 and c.id > $2::uuid
order by c.id offset $3 limit 1

-- name: conversations
-- Conversations by id: tenant, after, up to, created since, created until (exclusive), active since, whether they have an
-- external id (null: any), limit.
select c.id::text, c.external_id, c.kind, c.title, c.members as member_count, c.seq, c.rev, c.created_at, c.active_at
from conversations c
where c.tenant = $1 and c.id > $2::uuid and c.id <= $3::uuid
    and c.created_at >= $4::bigint and c.created_at < $5::bigint and c.active_at >= $6::bigint
    and ($7::boolean is null or (c.external_id is not null) = $7)
order by c.id limit $8
