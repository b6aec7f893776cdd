-- name: hold
-- The conversation, as somebody stands to it, with its row locked: nobody else numbers anything in it until the end of the transaction.
-- Tenant, conversation, user (no role for who is no member).
with held as (
    select c.* from conversations c where c.tenant = $1 and c.id = $2 for no key update
)
select h.kind, h.creator::text, h.pair_low::text, h.pair_high::text, h.title, h.announce, h.blocked, h.disappear, h.joining, h.history,
    h.members, h.seq, h.rev, b.role, b.first_seq
from held h
left join members b on b.tenant = h.tenant and b.conversation = h.id and b.user_id = $3

-- name: advance
-- After changes: tenant, conversation, seq, rev, members, rev of the last change of the row itself (null: none), now (null: nothing was said).
update conversations
set seq = $3, rev = $4, members = $5, info_rev = coalesce($6, info_rev), active_at = coalesce($7, active_at),
    changed = pg_current_xact_id()
where tenant = $1 and id = $2

-- name: say
-- A message that says what happened: tenant, conversation, seq, rev, id, who did it, client id, what, now.
insert into messages (tenant, conversation, seq, rev, id, sender, client_id, system, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
