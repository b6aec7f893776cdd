-- name: standing
-- What the user may know and do of a conversation: tenant, conversation, user. No row for who is no member.
select c.kind = 'group' and c.creator is not distinct from $3 as may_set
from conversations c
join members b on b.tenant = c.tenant and b.conversation = c.id
where c.tenant = $1 and c.id = $2 and b.user_id = $3

-- name: set
-- Change the pause; no row when it is the same already: tenant, conversation, seconds.
update conversations set slow_seconds = $3, rev = rev + 1, changed = pg_current_xact_id()
where tenant = $1 and id = $2 and slow_seconds <> $3
returning rev
