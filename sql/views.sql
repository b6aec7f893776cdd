-- name: conversations
-- Conversations as one member sees them: tenant, user, ids.
select
    c.id::text, c.kind, c.title, c.seq, c.rev, b.read_seq, b.delivered_seq, u.unread,
    c.members as member_count, c.created_at, c.slow_seconds,
    m.id::text as last_id, m.seq as last_seq, m.rev as last_rev, m.sender::text as last_sender,
    m.client_id as last_client_id, m.text as last_text, m.attachments as last_attachments,
    m.reply_to::text as last_reply_to, m.created_at as last_created_at, m.meta as last_meta
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation
left join messages m on m.tenant = c.tenant and m.conversation = c.id and m.seq = c.seq
cross join lateral (
    select count(*) as unread from (
        select 1 from messages x
        where x.tenant = b.tenant and x.conversation = b.conversation
            and x.seq > b.read_seq and x.sender <> b.user_id
        limit 1000
    ) as capped
) as u
where b.tenant = $1 and b.user_id = $2 and b.conversation = any($3::uuid[])

-- name: members
-- The first 50 members of each of the conversations: tenant, ids.
select f.conversation::text, f.user_id::text as user, p.name, f.delivered_seq, f.read_seq, f.joined_at, f.rev
from unnest($2::uuid[]) as w (id)
cross join lateral (
    select * from members b where b.tenant = $1 and b.conversation = w.id order by b.user_id limit 50
) as f
join users p on p.tenant = f.tenant and p.id = f.user_id
order by f.conversation, f.user_id
