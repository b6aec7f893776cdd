-- name: set_conversation
-- Change a member's own settings; null leaves a field unchanged: tenant, conversation, user, muted_until (0: not
-- muted), archived, pinned, hidden, draft ('': none), notify ('': as in the user's settings), labels (empty: none),
-- parts of the draft ({}: none), now. Without other parts, '' as the draft removes them.
update members b
set muted_until = case when $4::bigint is null then muted_until else nullif($4, 0) end,
    archived = coalesce($5, archived),
    pinned_at = case when $6::boolean is null then pinned_at when $6 then coalesce(pinned_at, $12) end,
    hidden_seq = case when $7::boolean is null then hidden_seq when $7 then c.seq end,
    draft = case when $8::text is null then draft else nullif($8, '') end,
    draft_parts = case when $11::jsonb is not null then nullif($11, '{}') when $8 = '' then null else draft_parts end,
    draft_at = case
        when $8::text is null and $11::jsonb is null then draft_at
        when coalesce($8, draft, '') <> '' or $11 <> '{}' then $12::bigint
    end,
    notify = case when $9::text is null then notify else nullif($9, '') end,
    labels = case when $10::text[] is null then labels else nullif($10::text[], '{}') end,
    changed = pg_current_xact_id()
from conversations c
where b.tenant = $1 and b.conversation = $2 and b.user_id = $3 and c.tenant = b.tenant and c.id = b.conversation
returning b.conversation

-- name: set_draft_uploads
-- Note the uploads of a draft, so that they count as in use: tenant, conversation, user, uploads. Returns how many of them
-- exist; the sweep of unused files waits for this transaction.
with present as materialized (
    select u.tenant, u.id from uploads u
    where u.tenant = $1 and u.id = any($4::uuid[]) and u.removed_at is null
    for share of u
),
forgotten as (
    delete from draft_uploads d
    where d.tenant = $1 and d.conversation = $2 and d.user_id = $3 and d.upload <> all($4::uuid[])
),
added as (
    insert into draft_uploads (tenant, conversation, user_id, upload)
    select p.tenant, $2, $3, p.id from present p
    on conflict do nothing
)
select count(*) from present

-- name: set_user
-- Change a user's settings; null leaves a field unchanged: tenant, user, notify, quiet, without quiet, audiences of
-- presence, messages, groups and calls.
insert into user_settings (tenant, user_id, notify, quiet, show_presence, allow_messages, allow_groups, allow_calls)
values ($1, $2, $3, $4, $6, $7, $8, $9)
on conflict (user_id, tenant) do update
set notify = coalesce($3, user_settings.notify),
    quiet = case when $5::boolean then null else coalesce($4, user_settings.quiet) end,
    show_presence = coalesce($6, user_settings.show_presence),
    allow_messages = coalesce($7, user_settings.allow_messages),
    allow_groups = coalesce($8, user_settings.allow_groups),
    allow_calls = coalesce($9, user_settings.allow_calls),
    changed = pg_current_xact_id()
returning notify, quiet, show_presence, allow_messages, allow_groups, allow_calls

-- name: get_user
-- Tenant, user.
select notify, quiet, show_presence, allow_messages, allow_groups, allow_calls from user_settings where tenant = $1 and user_id = $2

-- name: unread_conversations
-- Conversations with messages after the member's position, those that count for the badge first, then by activity:
-- tenant, user, now, limit. `counts`: neither muted nor archived.
select c.id::text, not b.archived and coalesce(b.muted_until <= $3, true) as counts
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation
where b.tenant = $1 and b.user_id = $2 and c.seq > b.read_seq
order by counts desc, c.active_at desc, c.id desc
limit $4

-- name: unread_totals
-- Unread messages in conversations that count, the number of those, and mentions in all: tenant, user, conversations,
-- whether each counts.
select coalesce(sum(u.unread), 0)::bigint as unread, count(*) filter (where u.unread > 0) as conversations,
    coalesce(sum(u.mentions), 0)::bigint as mentions
from (
    select case when w.counts then count_unread(b.tenant, b.conversation, b.user_id, b.read_seq) end as unread,
        count_unread_mentions(b.tenant, b.conversation, b.user_id, b.read_seq) as mentions
    from unnest($3::uuid[], $4::boolean[]) as w (id, counts)
    join members b on b.tenant = $1 and b.conversation = w.id and b.user_id = $2
) as u
