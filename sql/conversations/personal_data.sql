-- name: settings
-- Tenant, user, limit.
select s.notify, s.quiet, s.show_presence, s.allow_messages, s.allow_groups, s.allow_calls, s.last_seen_at from user_settings s
where s.tenant = $1 and s.user_id = $2 limit $3

-- name: blocks
-- Tenant, user, limit, after this one.
select b.blocked_as::text as user, b.created_at from blocks b
where b.tenant = $1 and b.blocker = $2 and b.blocked_as > $4::uuid
order by b.blocked_as limit $3

-- name: conversations
-- Memberships of the user with their settings. Titles are not the user's data: tenant, user, limit, after.
select c.id::text as conversation, c.kind,
    case when c.pair_low = b.user_id then c.pair_high else c.pair_low end::text as with_user,
    b.role, b.joined_at, b.first_seq, b.read_seq, b.delivered_seq, b.muted_until, b.archived, b.pinned_at, b.hidden_seq, b.draft,
    b.draft_at, b.draft_parts, b.notify, b.labels::text[] as labels
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation
where b.tenant = $1 and b.user_id = $2 and b.conversation > $4::uuid
order by b.conversation limit $3

-- name: former_memberships
-- Former memberships of the user: tenant, user, limit, after.
select d.conversation::text, d.left_at from former_members d
where d.tenant = $1 and d.user_id = $2 and d.conversation > $4::uuid
order by d.conversation limit $3

-- name: join_requests
-- Tenant, user, limit, after this one.
select r.conversation::text, r.text, r.created_at from join_requests r
where r.tenant = $1 and r.user_id = $2 and r.conversation > $4::uuid
order by r.conversation limit $3

-- name: messages
-- Messages of the user, with earlier texts, and system messages about what the user did. Forwarded texts of other users
-- are left out:
-- tenant, user, limit, after this client_id.
select s.conversation::text, s.id, s.seq, s.client_id, s.created_at,
    case when content.is_own then s.text end as text, case when content.is_own then s.attachments end as attachments,
    s.meta, s.system, s.poll, s.command, s.actions, s.reply_to, s.mentions, s.mentions_everybody, s.forwarded, s.edited_at,
    s.deleted_at, s.expires_at,
    case when s.edited_at is not null then (
        select jsonb_agg(jsonb_build_object('text', e.text, 'until', e.until) order by e.rev) from message_edits e
        where e.tenant = m.tenant and e.conversation = m.conversation and e.seq = m.seq
    ) end as edits
from messages m
join message_states s on s.tenant = m.tenant and s.conversation = m.conversation and s.seq = m.seq
cross join lateral (select s.forwarded is null or m.extra -> 'forwarded' ->> 'sender' = $2::uuid::text as is_own) as content
where m.tenant = $1 and m.sender = $2 and m.client_id > $4
order by m.client_id limit $3

-- name: withheld_messages
-- Content of recently deleted messages of the user that reports may still use: tenant, user, limit, after
-- (conversation, seq).
select w.conversation::text, w.seq, w.text, w.attachments, w.meta, w.system, w.edits, w.until from withheld_messages w
where w.tenant = $1 and w.sender = $2 and (w.conversation, w.seq) > ($4::uuid, $5::bigint)
order by w.conversation, w.seq limit $3

-- name: reactions
-- Tenant, user, limit, after this one (conversation, seq, emoji).
select r.conversation::text, m.id::text as message, r.seq, r.emoji, r.created_at
from reactions r
join messages m on m.tenant = r.tenant and m.conversation = r.conversation and m.seq = r.seq
where r.tenant = $1 and r.user_id = $2 and (r.conversation, r.seq, r.emoji) > ($4::uuid, $5::bigint, $6::text)
order by r.conversation, r.seq, r.emoji limit $3

-- name: marks
-- Stars, and messages hidden from oneself: tenant, user, limit, after this one (conversation, seq).
select k.conversation::text, m.id::text as message, k.seq, k.starred_at, k.hidden
from marks k
join messages m on m.tenant = k.tenant and m.conversation = k.conversation and m.seq = k.seq
where k.tenant = $1 and k.user_id = $2 and (k.conversation, k.seq) > ($4::uuid, $5::bigint)
order by k.conversation, k.seq limit $3

-- name: scheduled_messages
-- Tenant, user, limit, after this one.
select s.id::text, s.conversation::text, s.client_id, s.body, s.due_at, s.failed, s.created_at
from scheduled_messages s
where s.tenant = $1 and s.sender = $2 and s.id > $4::uuid
order by s.id limit $3

-- name: invites
-- Links that the user created: tenant, user, limit, after.
select i.id::text as invite, i.conversation::text, i.created_at, i.expires_at, i.uses_left, i.revoked_at
from invites i
where i.tenant = $1 and i.creator = $2 and i.id > $4::uuid
order by i.id limit $3

-- name: forget
-- Delete the user's private data that needs no batches: tenant, user.
with deleted_scheduled as (
    delete from scheduled_messages where tenant = $1 and sender = $2
),
deleted_blocks as (
    delete from blocks where tenant = $1 and blocker = $2
),
deleted_requests as (
    delete from join_requests where tenant = $1 and user_id = $2
),
deleted_invites as (
    delete from invites where tenant = $1 and creator = $2
)
delete from user_settings where tenant = $1 and user_id = $2
