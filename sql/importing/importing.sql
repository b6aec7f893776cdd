-- name: users
-- Those of these users that exist: tenant, ids.
select u.id::text, u.erased_at is not null as is_erased from users u where u.tenant = $1 and u.id = any($2::uuid[])

-- name: conversations
-- Conversations by external id, each with the time of its last message (0: none) and its owner: tenant, external ids.
select c.external_id, c.id::text, c.kind, c.members, coalesce(l.created_at, 0) as last_at, (
    select b.user_id::text from members b where b.conversation = c.id and b.tenant = c.tenant and b.role = 'owner'
) as owner
from conversations c
left join messages l on l.tenant = c.tenant and l.conversation = c.id and l.seq = c.seq
where c.tenant = $1 and c.external_id = any($2::text[])

-- name: direct_conversations
-- The direct conversations of pairs, each with the time of its last message (0: none): tenant; lower and higher user
-- ids, pairwise.
select c.pair_low::text as low, c.pair_high::text as high, c.id::text, c.external_id, coalesce(l.created_at, 0) as last_at,
    c.max_seq is not null as is_request
from unnest($2::uuid[], $3::uuid[]) as p (low, high)
join conversations c on c.tenant = $1 and c.pair_low = p.low and c.pair_high = p.high
left join messages l on l.tenant = c.tenant and l.conversation = c.id and l.seq = c.seq

-- name: messages
-- Those of these messages that exist: tenant; conversations, ids, pairwise.
select m.id::text from unnest($2::uuid[], $3::uuid[]) as g (conversation, id)
join messages m on m.tenant = $1 and m.conversation = g.conversation and m.id = g.id

-- name: members
-- Those of these users that are members: tenant; conversations, users, pairwise.
select b.conversation::text, b.user_id::text as user from unnest($2::uuid[], $3::uuid[]) as g (conversation, user_id)
join members b on b.tenant = $1 and b.conversation = g.conversation and b.user_id = g.user_id

-- name: progress
-- The progress of the import of a file: tenant, SHA-256.
select i.lines, i.position, i.finished_at from imports i where i.tenant = $1 and i.digest = $2

-- name: begin
-- Begin an import, unless it has begun: tenant, SHA-256, actor, now.
insert into imports (tenant, digest, lines, position, actor, started_at) values ($1, $2, 0, 0, $3, $4) on conflict do nothing

-- name: advance
-- Write the progress. No row if the import is not at the expected position: tenant, SHA-256, position, new position,
-- lines, when it was finished (null: not yet).
update imports set position = $4, lines = $5, finished_at = $6 where tenant = $1 and digest = $2 and position = $3 returning 1

-- name: insert_users
-- Create users that do not exist: tenant; ids, external ids, names, pictures, locales, roles as JSON, times, pairwise.
-- Returns their number.
with new_users as (
    insert into users (tenant, id, external_id, name, picture_url, locale, roles, created_at)
    select $1, g.id, g.external_id, g.name, g.picture_url, g.locale, array(select jsonb_array_elements_text(g.roles::jsonb)), g.created_at
    from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[])
        as g (id, external_id, name, picture_url, locale, roles, created_at)
    order by g.id
    on conflict do nothing
    returning 1
)
select count(*) from new_users

-- name: insert_conversations
-- Create conversations that do not exist: tenant; ids, external ids, kinds, titles, descriptions, creators, lower and
-- higher user ids (of direct ones), times, pairwise. Returns their number.
with new_conversations as (
    insert into conversations (
        tenant, id, external_id, kind, title, description, creator, pair_low, pair_high, members, created_at, active_at
    )
    select $1, g.id, g.external_id, g.kind, g.title, g.description, g.creator, g.low, g.high, 0, g.created_at, g.created_at
    from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::uuid[], $9::uuid[], $10::bigint[])
        as g (id, external_id, kind, title, description, creator, low, high, created_at)
    on conflict do nothing
    returning 1
)
select count(*) from new_conversations

-- name: name_conversations
-- Set the external ids of conversations that have none: tenant; ids, external ids, pairwise.
update conversations c set external_id = g.external_id
from unnest($2::uuid[], $3::text[]) as g (id, external_id)
where c.tenant = $1 and c.id = g.id and c.external_id is null

-- name: lock
-- Lock conversations, in the order of the message log: tenant, ids.
select c.id from conversations c where c.tenant = $1 and c.id = any($2::uuid[]) order by c.tenant, c.id for no key update

-- name: insert_members
-- Add members to locked conversations, except those who are members already: tenant; conversations, users, roles, times,
-- pairwise. Returns their number.
with given as (
    select g.*, row_number() over (partition by g.conversation order by g.ord) as n
    from unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[]) with ordinality as g (conversation, user_id, role, joined_at, ord)
    where not exists (
        select 1 from members b where b.tenant = $1 and b.conversation = g.conversation and b.user_id = g.user_id
    )
),
rejoining as (
    delete from former_members f using given g
    where f.tenant = $1 and f.conversation = g.conversation and f.user_id = g.user_id
),
new_members as (
    insert into members (tenant, conversation, user_id, role, joined_at, rev)
    select $1, g.conversation, g.user_id, g.role, g.joined_at, c.rev + g.n
    from given g
    join conversations c on c.tenant = $1 and c.id = g.conversation
),
advanced_counters as (
    update conversations c
    set rev = c.rev + g.n, members = c.members + g.n, changed = pg_current_xact_id()
    from (select conversation, max(n) as n from given group by 1) as g
    where c.tenant = $1 and c.id = g.conversation
)
select count(*) from given

-- name: insert_messages
-- Append messages to locked conversations, except those that exist: tenant; conversations, ids, senders, texts,
-- attachments, replies, meta, extra, times, times of edits, times of deletions, pairwise. Returns their number.
with given as (
    select g.*, row_number() over (partition by g.conversation order by g.ord) as n
    from unnest(
        $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[]
    ) with ordinality as g (
        conversation, id, sender, text, attachments, reply_to, meta, extra, created_at, edited_at, deleted_at, ord
    )
    where not exists (
        select 1 from messages m where m.tenant = $1 and m.conversation = g.conversation and m.id = g.id
    )
),
new_messages as (
    insert into messages (
        tenant, conversation, seq, rev, id, sender, client_id, text, attachments, reply_to, meta, extra, created_at, edited_at, deleted_at
    )
    select $1, g.conversation, c.seq + g.n, c.rev + g.n, g.id, g.sender, g.id::text, g.text, g.attachments::jsonb, g.reply_to,
        g.meta::jsonb, g.extra::jsonb, g.created_at, g.edited_at, g.deleted_at
    from given g
    join conversations c on c.tenant = $1 and c.id = g.conversation
    order by g.ord
),
new_mentions as (
    insert into mentions (tenant, conversation, user_id, seq)
    select distinct $1, g.conversation, w.id::uuid, c.seq + g.n
    from given g
    join conversations c on c.tenant = $1 and c.id = g.conversation
    cross join lateral jsonb_array_elements_text(g.extra::jsonb -> 'mentions') as w (id)
    where g.extra is not null
),
advanced_counters as (
    update conversations c
    set seq = c.seq + g.n, rev = c.rev + g.n, active_at = greatest(c.active_at, g.last_at), changed = pg_current_xact_id()
    from (select conversation, max(n) as n, max(created_at) as last_at from given group by 1) as g
    where c.tenant = $1 and c.id = g.conversation
)
select count(*) from given

-- name: insert_reactions
-- Add reactions to messages that are not deleted: tenant; conversations, messages, users, emoji, times, pairwise.
-- Returns the changed messages, once for each reaction.
insert into reactions (tenant, conversation, seq, user_id, emoji, created_at)
select $1, g.conversation, m.seq, g.user_id, g.emoji, g.created_at
from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[]) as g (conversation, message, user_id, emoji, created_at)
join messages m on m.tenant = $1 and m.conversation = g.conversation and m.id = g.message and m.deleted_at is null
on conflict do nothing
returning conversation::text, seq

-- name: count_reactions
-- Write the counts of reactions of messages in locked conversations: tenant; conversations, seqs, pairwise, each once.
with given as (
    select g.*, row_number() over (partition by g.conversation order by g.seq) as n
    from unnest($2::uuid[], $3::bigint[]) as g (conversation, seq)
),
changed_messages as (
    update messages m set rev = c.rev + g.n, reactions = (
        select jsonb_object_agg(k.emoji, k.count) from (
            select r.emoji, count(*) as count from reactions r
            where r.tenant = $1 and r.conversation = g.conversation and r.seq = g.seq group by r.emoji
        ) as k
    )
    from given g
    join conversations c on c.tenant = $1 and c.id = g.conversation
    where m.tenant = $1 and m.conversation = g.conversation and m.seq = g.seq
)
update conversations c set rev = c.rev + g.n, changed = pg_current_xact_id()
from (select conversation, max(n) as n from given group by 1) as g
where c.tenant = $1 and c.id = g.conversation

-- name: advance_reads
-- Move read positions in locked conversations forward: tenant; conversations, users, messages (null: the last one),
-- pairwise. Returns the number of positions that moved.
with given as (
    select g.conversation, g.user_id, max(coalesce(m.seq, case when g.message is null then c.seq end)) as seq
    from unnest($2::uuid[], $3::uuid[], $4::uuid[]) as g (conversation, user_id, message)
    join conversations c on c.tenant = $1 and c.id = g.conversation
    left join messages m on m.tenant = $1 and m.conversation = g.conversation and m.id = g.message
    group by g.conversation, g.user_id
),
moved as (
    select g.*, row_number() over (partition by g.conversation order by g.user_id) as n
    from given g
    join members b on b.tenant = $1 and b.conversation = g.conversation and b.user_id = g.user_id
    where g.seq > b.read_seq
),
changed_members as (
    update members b set read_seq = g.seq, delivered_seq = greatest(b.delivered_seq, g.seq), rev = c.rev + g.n, changed = pg_current_xact_id()
    from moved g
    join conversations c on c.tenant = $1 and c.id = g.conversation
    where b.tenant = $1 and b.conversation = g.conversation and b.user_id = g.user_id
),
advanced_counters as (
    update conversations c set rev = c.rev + g.n, changed = pg_current_xact_id()
    from (select conversation, max(n) as n from moved group by 1) as g
    where c.tenant = $1 and c.id = g.conversation
)
select count(*) from moved
