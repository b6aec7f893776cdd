-- name: delete_messages
-- Delete the content of messages, and release their uploads: tenant, conversation, seqs, the rev of each, now, the time
-- until which reports may use the content (if it is not after now, the content is not kept). Returns the seqs of those that
-- are replies in threads.
with new_withheld_messages as (
    insert into withheld_messages (tenant, conversation, seq, sender, text, attachments, meta, system, edits, until)
    select m.tenant, m.conversation, m.seq, m.sender, m.text, m.attachments, m.meta, m.system, (
        select jsonb_agg(jsonb_build_object('text', e.text, 'rev', e.rev, 'until', e.until) order by e.rev) from message_edits e
        where e.conversation = m.conversation and e.seq = m.seq and e.tenant = m.tenant
    ), $6::bigint
    from messages m
    where m.tenant = $1 and m.conversation = $2 and m.seq = any($3::bigint[]) and $6::bigint > $5::bigint
    on conflict do nothing
),
new_withheld_uploads as (
    insert into withheld_uploads (tenant, upload, until)
    select distinct x.tenant, x.upload, $6::bigint from upload_uses x
    where x.tenant = $1 and x.conversation = $2 and x.seq = any($3::bigint[]) and $6::bigint > $5::bigint
    on conflict (upload, tenant) do update set until = greatest(withheld_uploads.until, excluded.until)
),
deleted_edits as (
    delete from message_edits where tenant = $1 and conversation = $2 and seq = any($3::bigint[])
),
deleted_reactions as (
    delete from reactions where tenant = $1 and conversation = $2 and seq = any($3::bigint[])
),
deleted_votes as (
    delete from poll_votes where tenant = $1 and conversation = $2 and seq = any($3::bigint[])
),
deleted_deadlines as (
    delete from poll_deadlines where tenant = $1 and conversation = $2 and seq = any($3::bigint[])
),
deleted_mentions as (
    delete from mentions where tenant = $1 and conversation = $2 and seq = any($3::bigint[])
),
deleted_upload_uses as (
    delete from upload_uses where tenant = $1 and conversation = $2 and seq = any($3::bigint[])
)
update messages m
set rev = w.rev, deleted_at = $5, text = null, attachments = null, meta = null, reactions = null, edited_at = null,
    extra = case when m.extra ? 'thread' then jsonb_build_object('thread', m.extra -> 'thread') end,
    pinned_at = null, expires_at = null, system = null, reply_to = null
from unnest($3::bigint[], $4::bigint[]) as w (seq, rev)
where m.tenant = $1 and m.conversation = $2 and m.seq = w.seq
returning case when m.extra ? 'thread' then m.seq end as reply

-- name: delete_replies
-- Mark replies as deleted: tenant, conversation, seqs. Returns the thread of each: the seq of its root.
update thread_replies r set is_deleted = true
where r.tenant = $1 and r.conversation = $2 and r.seq = any($3::bigint[]) and not r.is_deleted
returning r.root_seq

-- name: recount_replies
-- Store the new state of roots some of whose replies were deleted: tenant, conversation, seqs of the roots, the number of
-- deleted replies of each, the rev of each. `replies` is null if none is left. Of ten participants, those without replies
-- make room for the next ones, by the first thousand replies.
update messages m
set rev = w.rev, replies = w.replies
from (
    select g.seq, g.rev, case when last_reply.seq is not null then jsonb_build_object(
        'count', (r.replies ->> 'count')::bigint - g.deleted, 'last_seq', last_reply.seq, 'last_at', last_reply.created_at,
        'participants', (
            select coalesce(jsonb_agg(p.id order by p.place), '[]') from (
                select w.id, min(w.place) as place from (
                    select k.id, k.place from jsonb_array_elements_text(r.replies -> 'participants') with ordinality as k (id, place)
                    where exists (
                        select 1 from thread_replies o
                        where o.tenant = $1 and o.conversation = $2 and o.root_seq = g.seq and o.sender = k.id::uuid and not o.is_deleted
                    )
                    union all
                    select n.sender::text, 10 + n.seq from (
                        select o.sender, o.seq from thread_replies o
                        where o.tenant = $1 and o.conversation = $2 and o.root_seq = g.seq and not o.is_deleted
                            and jsonb_array_length(r.replies -> 'participants') >= 10
                        order by o.seq limit 1000
                    ) as n
                ) as w
                group by w.id order by 2 limit 10
            ) as p
        )
    ) end as replies
    from unnest($3::bigint[], $4::bigint[], $5::bigint[]) as g (seq, deleted, rev)
    join messages r on r.tenant = $1 and r.conversation = $2 and r.seq = g.seq
    left join lateral (
        select x.seq, x.created_at from thread_replies o
        join messages x on x.tenant = o.tenant and x.conversation = o.conversation and x.seq = o.seq
        where o.tenant = $1 and o.conversation = $2 and o.root_seq = g.seq and not o.is_deleted
        order by o.seq desc limit 1
    ) as last_reply on true
) as w
where m.tenant = $1 and m.conversation = $2 and m.seq = w.seq
returning m.seq, m.id::text, m.rev,
    case when m.replies is not null then shown_replies(m.tenant, m.conversation, m.in_match, m.replies) end as replies

-- name: message_states
-- Messages as all members see them, in the order of their last change: tenant, conversation, seqs.
select s.* from message_states s where s.tenant = $1 and s.conversation = $2 and s.seq = any($3::bigint[]) order by s.rev

-- name: expired_messages
-- Expired messages, the earliest first, by conversation: limit.
select o.tenant, o.conversation::text, array_agg(o.seq order by o.seq) as seqs
from (
    select m.tenant, m.conversation, m.seq from messages m
    where m.expires_at is not null and m.expires_at <= now_ms()
    order by m.expires_at limit $1
) as o
group by o.tenant, o.conversation

-- name: still_expired
-- Those of these messages that are not deleted yet: tenant, conversation, seqs.
select m.seq from messages m
where m.tenant = $1 and m.conversation = $2 and m.seq = any($3::bigint[]) and m.expires_at <= now_ms() and m.deleted_at is null
order by m.seq

-- name: page_with_retention
-- A page of all conversations, with the oldest time that each keeps messages of (null: all), and whether there are
-- older messages: position (id, tenant), tenants and the days of each (0: unlimited), limit.
select p.tenant, p.id::text, k.since, o.created_at < k.since as due
from (
    select c.tenant, c.id, c.keep_days, c.swept_seq from conversations c
    where (c.id, c.tenant) > ($1::uuid, $2::text) order by c.id, c.tenant limit $5
) as p
cross join lateral (
    select now_ms() - least(p.keep_days, (
        select nullif(t.days, 0) from unnest($3::text[], $4::integer[]) as t (tenant, days) where t.tenant = p.tenant
    )) * 86400000::bigint as since
) as k
left join lateral (
    select m.created_at from messages m
    where m.conversation = p.id and m.tenant = p.tenant and m.seq > p.swept_seq and k.since is not null
    order by m.seq limit 1
) as o on true
order by p.id, p.tenant

-- name: oldest_messages
-- The first messages that are not swept: tenant, conversation, limit.
select m.seq, m.created_at, m.deleted_at is not null as is_deleted
from conversations c
join messages m on m.tenant = c.tenant and m.conversation = c.id and m.seq > c.swept_seq
where c.tenant = $1 and c.id = $2
order by m.seq limit $3

-- name: set_swept_seq
-- Set the position of the sweep: tenant, conversation, seq up to which all messages are deleted.
update conversations set swept_seq = $3 where tenant = $1 and id = $2
