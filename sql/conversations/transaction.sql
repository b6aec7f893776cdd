-- name: lock
-- The conversation with its row locked: nobody else numbers anything in it until the end of the transaction: tenant, conversation.
select c.kind, c.title, c.announce, c.blocked, c.joining, c.history, c.late_seq, c.members, c.seq, c.rev
from conversations c where c.tenant = $1 and c.id = $2 for no key update

-- name: standing
-- How somebody stands to it. A statement of its own, after the lock: the one that waits for it sees members as they were before.
-- Tenant, conversation, user.
select b.role, b.first_seq, b.alias::text from members b where b.tenant = $1 and b.conversation = $2 and b.user_id = $3

-- name: advance
-- After changes: tenant, conversation, seq, rev, members, rev of the last change of the row itself (null: none), now (null: nothing was said),
-- the first seq that somebody who came late may see.
update conversations
set seq = $3, rev = $4, members = $5, info_rev = coalesce($6, info_rev), active_at = coalesce($7, active_at), late_seq = $8,
    changed = pg_current_xact_id()
where tenant = $1 and id = $2

-- name: add_system_message
-- A message that says what happened: tenant, conversation, seq, rev, id, who did it, client id, what, now,
-- whether it is in a match (null: it is not).
insert into messages (tenant, conversation, seq, rev, id, sender, client_id, system, created_at, in_match)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: message
-- A message as everybody sees it, for who has seen it already: tenant, conversation, message, first seq that may be seen.
select s.* from message_states s
join messages m on m.tenant = s.tenant and m.conversation = s.conversation and m.seq = s.seq
where m.tenant = $1 and m.conversation = $2 and m.id = $3 and m.seq >= $4

-- name: may_say
-- Whether a user may say something here now, for who holds the conversation: tenant, conversation, user, an id of what they say.
-- `denied`: the code of a refusal; `early`: how many milliseconds it is too early, which counts as having said it when it is not.
select refusal_to_say(b.role, c.kind, c.announce, c.blocked, false) as denied,
    (slow_down(array[$1::text], array[$2::uuid], array[$3::uuid], array[$4::text]))[1] as early
from conversations c
left join members b on b.tenant = c.tenant and b.conversation = c.id and b.user_id = $3
where c.tenant = $1 and c.id = $2
