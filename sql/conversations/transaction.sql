-- name: lock
-- Lock the row of a conversation: no other transaction numbers anything in it until the end of this one: tenant, conversation.
select c.kind, c.title, c.announce, c.blocked, c.joining, c.history, c.late_seq, c.members, c.seq, c.rev
from conversations c where c.tenant = $1 and c.id = $2 for no key update

-- name: standing
-- The membership of the requester. A statement of its own, after the lock: the one that waits for the lock sees earlier members.
-- Tenant, conversation, user.
select b.role, b.first_seq, b.alias::text from members b where b.tenant = $1 and b.conversation = $2 and b.user_id = $3

-- name: advance
-- Write the counters: tenant, conversation, seq, rev, members, rev of the last change of the row itself (null: none), now (null: no message),
-- the first seq that the latest member may see.
update conversations
set seq = $3, rev = $4, members = $5, info_rev = coalesce($6, info_rev), active_at = coalesce($7, active_at), late_seq = $8,
    changed = pg_current_xact_id()
where tenant = $1 and id = $2

-- name: add_system_message
-- Add a system message: tenant, conversation, seq, rev, id, actor, client id, content, now,
-- whether it is in a match (null: it is not).
insert into messages (tenant, conversation, seq, rev, id, sender, client_id, system, created_at, in_match)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: message
-- A message as all members see it: tenant, conversation, message, the first seq that the user may see.
select s.* from message_states s
join messages m on m.tenant = s.tenant and m.conversation = s.conversation and m.seq = s.seq
where m.tenant = $1 and m.conversation = $2 and m.id = $3 and m.seq >= $4

-- name: may_say
-- Whether a user may send a message now, in a locked conversation: tenant, conversation, user, an id of the message.
-- `denied`: the code of a refusal; `early`: the milliseconds to wait in slow mode; without any, it counts as sent.
select refusal_to_say(b.role, c.kind, c.announce, c.blocked, false) as denied,
    (slow_down(array[$1::text], array[$2::uuid], array[$3::uuid], array[$4::text]))[1] as early
from conversations c
left join members b on b.tenant = c.tenant and b.conversation = c.id and b.user_id = $3
where c.tenant = $1 and c.id = $2
