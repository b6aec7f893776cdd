-- name: insert_edit
-- Store the current text of a message as an earlier text: tenant, conversation, seq, rev of that text, now.
insert into message_edits (tenant, conversation, seq, rev, text, until)
select m.tenant, m.conversation, m.seq, $4, m.text, $5 from messages m
where m.tenant = $1 and m.conversation = $2 and m.seq = $3

-- name: set_text
-- Replace the text. The preview of a link that the message has no longer is removed: tenant, conversation, seq, rev, text,
-- now.
update messages
set text = $5, edited_at = $6, rev = $4, extra = case
    when extra ? 'preview' and position(extra #>> '{preview,url}' in $5::text) = 0
        and attachments @> jsonb_build_array(jsonb_build_object('url', extra #>> '{preview,url}')) is not true
        then nullif(extra - 'preview', '{}')
    else extra
end
where tenant = $1 and conversation = $2 and seq = $3

-- name: author_is_bot
-- Whether the author of a message is a bot: tenant, conversation, seq.
select 1 from messages m
join users u on u.tenant = m.tenant and u.id = m.sender and u.bot
where m.tenant = $1 and m.conversation = $2 and m.seq = $3

-- name: set_actions
-- Replace the buttons of a message, or remove them with '[]': tenant, conversation, seq, rev, buttons.
update messages m
set rev = $4, extra = nullif(
    coalesce(m.extra, '{}') - 'actions' || case when $5::jsonb <> '[]' then jsonb_build_object('actions', $5::jsonb) else '{}' end,
    '{}'
)
where m.tenant = $1 and m.conversation = $2 and m.seq = $3

-- name: set_mentions
-- Replace the mentions of a message: tenant, conversation, seq, users (null: unchanged), whether all members are
-- mentioned (null: unchanged). Only members are notified.
with mentioned as (
    select u.id from (
        select unnest($4::uuid[]) as id
        union select '00000000-0000-0000-0000-000000000000' where $5::boolean
    ) as u
    where u.id = '00000000-0000-0000-0000-000000000000' or exists (
        select 1 from members b where b.tenant = $1 and b.conversation = $2 and b.user_id = u.id
    )
),
removed as (
    delete from mentions n
    where n.tenant = $1 and n.conversation = $2 and n.seq = $3
        and case when n.user_id <> '00000000-0000-0000-0000-000000000000' then $4::uuid[] is not null else not $5::boolean end
        and n.user_id <> all(array(select id from mentioned))
),
added as (
    insert into mentions (tenant, conversation, user_id, seq)
    select $1, $2, w.id, $3 from mentioned w
    on conflict do nothing
)
update messages m
set extra = nullif(
    coalesce(m.extra, '{}')
        - case when $4::uuid[] is null then '{}'::text[] else array['mentions'] end
        - case when $5::boolean is null then '{}'::text[] else array['everybody'] end
        || case when cardinality($4::uuid[]) > 0 then jsonb_build_object('mentions', $4::uuid[]) else '{}' end
        || case when $5::boolean then jsonb_build_object('everybody', true) else '{}' end,
    '{}'
)
where m.tenant = $1 and m.conversation = $2 and m.seq = $3

-- name: follow_thread
-- Who is mentioned in a reply follows its thread, unless they have unfollowed it: tenant, conversation, seq, now.
insert into thread_followers (tenant, user_id, conversation, root_seq, following, read_seq, followed_at)
select n.tenant, n.user_id, n.conversation, r.root_seq, true, r.seq - 1, $4::bigint
from mentions n
join thread_replies r on r.tenant = n.tenant and r.conversation = n.conversation and r.seq = n.seq
where n.tenant = $1 and n.conversation = $2 and n.seq = $3 and n.user_id <> '00000000-0000-0000-0000-000000000000'
on conflict do nothing

-- name: hide_message
-- Hide a message from one member. It no longer counts as unread, so session.sync has to return the conversation:
-- tenant, conversation, user, message.
with hidden_message as (
    insert into marks (tenant, user_id, conversation, seq, hidden)
    select m.tenant, b.user_id, m.conversation, m.seq, true
    from messages m
    join members b on b.tenant = m.tenant and b.conversation = m.conversation
    where m.tenant = $1 and m.conversation = $2 and b.user_id = $3 and m.id = $4 and m.seq >= b.first_seq
    on conflict (user_id, conversation, seq, tenant) do update set hidden = true, starred_at = null, changed = pg_current_xact_id()
    returning tenant, conversation, user_id, seq
),
touched_member as (
    update members b set changed = pg_current_xact_id()
    from hidden_message h where b.tenant = h.tenant and b.conversation = h.conversation and b.user_id = h.user_id
)
select seq from hidden_message

-- name: visible_sender
-- The sender of a message that the user can see: tenant, conversation, user, message.
select m.sender::text from messages m
join members b on b.tenant = m.tenant and b.conversation = m.conversation
where m.tenant = $1 and m.conversation = $2 and b.user_id = $3 and m.id = $4 and m.seq >= b.first_seq
    and not is_concealed($1, $2, $3, m.seq)

-- name: page
-- Earlier texts of a message that is not deleted: tenant, conversation, message, after this rev, limit.
select e.text, e.until, e.rev from message_edits e
join messages m on m.tenant = e.tenant and m.conversation = e.conversation and m.seq = e.seq
where m.tenant = $1 and m.conversation = $2 and m.id = $3 and (m.expires_at is null or m.expires_at > now_ms()) and e.rev > $4
order by e.rev limit $5

-- name: edit_counts
-- The number of edits of a message, the number since a time, and the time of the first of those: tenant, conversation,
-- seq, time.
select count(*) as total, count(*) filter (where e.until > $4) as recent, min(e.until) filter (where e.until > $4) as first
from message_edits e
where e.tenant = $1 and e.conversation = $2 and e.seq = $3
