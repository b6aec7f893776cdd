-- name: history_before
-- The newest messages before a seq, as all members see them, newest first: tenant, conversation, seq (null: the end),
-- limit.
select s.* from message_states s
where s.tenant = $1 and s.conversation = $2 and s.seq < coalesce($3::bigint, 9223372036854775807)
order by s.seq desc limit $4

-- name: history_after
-- The oldest messages after a seq, as all members see them: tenant, conversation, seq, limit.
select s.* from message_states s
where s.tenant = $1 and s.conversation = $2 and s.seq > $3::bigint
order by s.seq limit $4

-- name: exists
-- A row if there is such a conversation: tenant, conversation.
select 1 from conversations c where c.tenant = $1 and c.id = $2
