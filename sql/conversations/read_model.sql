-- name: own_conversations
-- Conversations as one member sees them: tenant, user, ids.
select v.* from own_conversations as v
where v.tenant = $1 and v.user_id = $2 and v.conversation = any($3::uuid[])

-- name: last_messages
-- The last message of each conversation that the user can see: tenant, user, ids.
select l.*, w.id::text as conversation_id
from unnest($3::uuid[]) as w (id)
cross join lateral (select f.* from messages_for($1, w.id, $2) as f order by f.seq desc limit 1) as l

-- name: visible_message
-- The seq and sender of a message that the user can see: tenant, conversation, user, message.
select m.seq, m.sender::text, b.alias is not null as in_match from messages m
join members b on b.tenant = m.tenant and b.conversation = m.conversation and b.user_id = $3
where m.tenant = $1 and m.conversation = $2 and m.id = $4 and m.seq >= b.first_seq and not is_concealed($1, $2, $3, m.seq)

-- name: members
-- The first 50 members of each of the conversations, as a user sees them: tenant, user, ids.
select w.id::text as conversation, f.*
from unnest($3::uuid[]) as w (id)
cross join lateral (
    select * from members_for($1, w.id, $2) as b order by b.user_id limit 50
) as f
order by w.id, coalesce(f.alias, f.user_id)
