-- name: lock
-- Lock the row of a conversation, and so its counters, until the end of the transaction: tenant, conversation.
select c.kind, c.title, c.announce, c.blocked, c.joining, c.history, c.max_first_seq, c.members, c.seq, c.rev, c.max_seq
from conversations c where c.tenant = $1 and c.id = $2 for no key update

-- name: membership
-- The membership of a user. Separate from the lock, because the statement that waits for the lock reads an older
-- snapshot. Tenant, conversation, user.
select b.role, b.first_seq, b.alias::text from members b where b.tenant = $1 and b.conversation = $2 and b.user_id = $3

-- name: advance
-- Write the counters after changes: tenant, conversation, seq, rev, members, rev of the last change of the row itself
-- (null: none), now (null: no message), the highest first_seq of a member.
update conversations
set seq = $3, rev = $4, members = $5, info_rev = coalesce($6, info_rev), active_at = coalesce($7, active_at), max_first_seq = $8,
    changed = pg_current_xact_id()
where tenant = $1 and id = $2

-- name: add_system_message
-- Add a system message: tenant, conversation, seq, rev, id, actor, client id, content, now,
-- whether it is in a match (null: it is not).
insert into messages (tenant, conversation, seq, rev, id, sender, client_id, system, created_at, in_match)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: message
-- A message as all members see it, for a user who has received it: tenant, conversation, message, first visible seq, user.
select s.*, m.sender::text as author from message_states s
join messages m on m.tenant = s.tenant and m.conversation = s.conversation and m.seq = s.seq
where m.tenant = $1 and m.conversation = $2 and m.id = $3 and m.seq >= $4 and not is_concealed($1, $2, $5, m.seq)

-- name: send_permission
-- Whether a user may send to a locked conversation now: tenant, conversation, user, an id of the text, whether it mentions
-- all members. `refusal`: the code of a refusal, or null. `wait_ms`: the milliseconds until slow mode allows the message; if null, the time of the
-- message is recorded.
select send_refusal(b.role, c.kind, c.announce, c.blocked, $5::boolean) as refusal,
    (apply_slow_mode(array[$1::text], array[$2::uuid], array[$3::uuid], array[$4::text]))[1] as wait_ms
from conversations c
left join members b on b.tenant = c.tenant and b.conversation = c.id and b.user_id = $3
where c.tenant = $1 and c.id = $2
