-- name: message_in
-- A message of a conversation: tenant, id, conversation.
select m.conversation::text, m.seq, m.rev, m.sender::text, m.created_at
from messages m
where m.tenant = $1 and m.id = $2 and m.conversation = $3

-- name: message_anywhere
-- A message in any conversation that was active at that time: tenant, id, earliest and latest time.
-- No index starts with the id, but one look-up for each conversation costs far less than a scan of all messages.
select m.conversation::text, m.seq, m.rev, m.sender::text, m.created_at
from conversations c
cross join lateral (
    select x.* from messages x
    where x.conversation = c.id and x.id = $2 and x.tenant = c.tenant
    limit 1
) as m
where c.tenant = $1 and c.active_at >= $3 and c.created_at <= $4
limit 1

-- name: receipt_counts
-- The number of other members, of those to whom the message was delivered, and of those who have read it: tenant,
-- conversation, seq, sender.
select count(*) as members,
    count(*) filter (where b.delivered_seq >= $3) as delivered,
    count(*) filter (where b.read_seq >= $3) as read
from members b
where b.tenant = $1 and b.conversation = $2 and b.user_id <> $4

-- name: receipts
-- The other members, readers first: tenant, conversation, seq, sender, limit.
select b.user_id::text as user, b.delivered_seq >= $3 as delivered, b.read_seq >= $3 as read
from members b
where b.tenant = $1 and b.conversation = $2 and b.user_id <> $4
order by b.read_seq >= $3 desc, b.delivered_seq >= $3 desc, b.user_id
limit $5
