-- name: non_members
-- Those of these users who exist and are not members: tenant, conversation, users.
select u.id::text, u.bot from users u
where u.tenant = $1 and u.id = any($3::uuid[]) and u.erased_at is null
    and not exists (select 1 from members b where b.tenant = $1 and b.conversation = $2 and b.user_id = u.id)
order by u.id

-- name: user_in_too_many
-- One of these users who is a member of too many other conversations: tenant, conversation, users, maximum minus one.
select u.id::text from unnest($3::uuid[]) as u (id)
where exists (
    select 1 from members b where b.tenant = $1 and b.user_id = u.id and b.conversation <> $2 offset $4 limit 1
) limit 1

-- name: count_existing
-- The number of these users that exist: tenant, conversation, users.
select count(*) as found from users u
where u.tenant = $1 and u.id = any($3::uuid[]) and u.erased_at is null and $2::uuid is not null

-- name: count_bots
-- The number of bots among the members, up to a limit: tenant, conversation, limit. Of the bots of the tenant, each is
-- looked up: they are fewer than the members of a large group.
select count(*) as found from (
    select 1 from users u
    join members b on b.user_id = u.id and b.tenant = u.tenant and b.conversation = $2
    where u.tenant = $1 and u.bot limit $3
) as n

-- name: count_bots_of
-- The number of bots among these users: tenant, users.
select count(*) from users u where u.tenant = $1 and u.id = any($2::uuid[]) and u.bot

-- name: insert_members
-- Add members whose receipt positions are the last message: tenant, conversation, users, rev of the first of them, last
-- seq, first visible seq, now, rev before which nothing is visible, rev before these changes.
with rejoining as (
    delete from former_members where tenant = $1 and conversation = $2 and user_id = any($3::uuid[])
    returning user_id, visible_seqs
),
deleted_requests as (
    delete from join_requests where tenant = $1 and conversation = $2 and user_id = any($3::uuid[])
),
deleted_contact_requests as (
    delete from contact_requests where tenant = $1 and conversation = $2 and user_id = any($3::uuid[])
    returning tenant, user_id
),
changed_settings as (
    insert into user_settings (tenant, user_id) select tenant, user_id from deleted_contact_requests order by user_id
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
)
insert into members (
    tenant, conversation, user_id, joined_at, rev, delivered_seq, read_seq, first_seq, first_rev, joined_seq, joined_rev, earlier_visible_seqs
)
select $1, $2, w.id, $7, $4::bigint + w.ord - 1, $5, $5, $6, $8, $5, $9, rejoining.visible_seqs
from unnest($3::uuid[]) with ordinality as w (id, ord)
left join rejoining on rejoining.user_id = w.id

-- name: remove_member
-- End a membership and add a former member: tenant, conversation, user, rev, seq, now, actor.
with removed as (
    delete from members where tenant = $1 and conversation = $2 and user_id = $3
    returning tenant, conversation, user_id, visible_seqs(members, $5) as visible_seqs
)
insert into former_members (tenant, conversation, user_id, rev, seq, left_at, actor, visible_seqs)
select tenant, conversation, user_id, $4, $5, $6, $7, visible_seqs from removed
on conflict (conversation, user_id, tenant)
do update set rev = $4, seq = $5, left_at = $6, actor = $7, visible_seqs = excluded.visible_seqs, changed = pg_current_xact_id()
returning user_id

-- name: member
-- A member, as other members see them: tenant, conversation, user.
select b.* from members_for($1, $2, null) as b where b.user_id = $3

-- name: some_members
-- Some members, as other members see them, by the rev of their last change: tenant, conversation, users.
select b.* from members_for($1, $2, null) as b
where b.user_id = any($3::uuid[])
order by b.rev

-- name: close_joining
-- Tenant, conversation.
update conversations set joining = 'closed' where tenant = $1 and id = $2

-- name: revoke_invites
-- Tenant, conversation, now.
update invites set revoked_at = $3 where tenant = $1 and conversation = $2 and revoked_at is null

-- name: delete_requests
-- Requests to join, and requests to users to join: tenant, conversation.
with deleted as (
    delete from contact_requests where tenant = $1 and conversation = $2
    returning tenant, user_id
),
changed_settings as (
    insert into user_settings (tenant, user_id) select tenant, user_id from deleted order by user_id
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
)
delete from join_requests where tenant = $1 and conversation = $2

-- name: set_role
-- Tenant, conversation, user, role, rev.
update members set role = $4, rev = $5 where tenant = $1 and conversation = $2 and user_id = $3

-- name: next_owner
-- The member who becomes the owner after the owner has left, none of the bots, by role and length of membership: tenant, conversation.
select b.user_id::text as user from members b
join users u on u.tenant = b.tenant and u.id = b.user_id
where b.tenant = $1 and b.conversation = $2 and not u.bot
order by array_position(array['admin', 'moderator', 'member'], b.role), b.joined_at, b.user_id limit 1

-- name: is_member
-- A row if the user is a member of the conversation.
select 1 from members where tenant = $1 and conversation = $2 and user_id = $3
