-- name: exists
-- A row when the message is in the conversation and the user is too: tenant, conversation, message, user.
select 1 from messages m
join members b on b.tenant = m.tenant and b.conversation = m.conversation
where m.tenant = $1 and m.conversation = $2 and m.id = $3 and b.user_id = $4

-- name: history_before
-- The newest messages before a seq, newest first; all when the seq is null: tenant, conversation, seq, limit.
select id::text, seq, rev, sender::text, client_id, text, attachments, reply_to::text, created_at, meta
from messages
where tenant = $1 and conversation = $2 and seq < coalesce($3::bigint, 9223372036854775807)
order by seq desc limit $4

-- name: history_after
-- The oldest messages after a seq: tenant, conversation, seq, limit.
select id::text, seq, rev, sender::text, client_id, text, attachments, reply_to::text, created_at, meta
from messages
where tenant = $1 and conversation = $2 and seq > $3::bigint
order by seq limit $4
