-- name: quoted_message
-- The message to reply to, if the user can see it: tenant, conversation, message, user (the system sees all).
select s.seq, s.sender, left(s.text, 200) as text, s.deleted_at is not null as deleted, m.seq >= c.max_first_seq as visible_to_all
from messages m
left join members b on b.tenant = m.tenant and b.conversation = m.conversation and b.user_id = $4
join conversations c on c.tenant = m.tenant and c.id = m.conversation
join message_states s on s.tenant = m.tenant and s.conversation = m.conversation and s.seq = m.seq
where m.tenant = $1 and m.conversation = $2 and m.id = $3
    and (m.seq >= b.first_seq or $4 = '00000000-0000-0000-0000-000000000000'::uuid) and not is_concealed($1, $2, $4, m.seq)

-- name: thread_refusal
-- Why the user cannot reply in the thread of a message, '' if they can: tenant, conversation, user, message.
select thread_refusal($1, $2, $3, $4)

-- name: is_stored
-- Whether the sender has a message with this client_id: tenant, sender, client_id.
select 1 from messages where tenant = $1 and sender = $2 and client_id = $3

-- name: resolve_ids
-- Those of these ids that are users, or in a match the aliases of its members: tenant, conversation, requester, ids.
select u.id::text, u.id::text as user from users u
where u.tenant = $1 and u.id = any($4::uuid[]) and u.erased_at is null and not exists (
    select 1 from members b where b.tenant = $1 and b.conversation = $2 and b.user_id = $3 and b.alias is not null
)
union all
select b.alias::text, b.user_id::text from members b
where b.tenant = $1 and b.conversation = $2 and b.alias = any($4::uuid[])

-- name: history_before
-- The newest messages before a seq, newest first; all when the seq is null: tenant, conversation, user, seq, limit.
select f.* from messages_for($1, $2, $3) as f
where f.seq < coalesce($4::bigint, 9223372036854775807)
order by f.seq desc limit $5

-- name: history_after
-- The oldest messages after a seq: tenant, conversation, user, seq, limit.
select f.* from messages_for($1, $2, $3) as f
where f.seq > $4::bigint
order by f.seq limit $5
