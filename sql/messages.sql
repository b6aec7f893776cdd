-- name: quoted
-- A message that somebody wants to reply to, when they may see it: tenant, conversation, message, user.
select m.seq, m.sender::text, left(m.text, 200) as text, m.deleted_at is not null as deleted, m.seq >= c.late_seq as for_all
from messages m
join members b on b.tenant = m.tenant and b.conversation = m.conversation
join conversations c on c.tenant = m.tenant and c.id = m.conversation
where m.tenant = $1 and m.conversation = $2 and m.id = $3 and b.user_id = $4 and m.seq >= b.first_seq

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
