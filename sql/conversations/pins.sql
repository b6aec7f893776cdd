-- name: count
-- Tenant, conversation.
select count(*) as found from messages where tenant = $1 and conversation = $2 and pinned_at is not null

-- name: set
-- Pin a message, or unpin it with null: tenant, conversation, seq, rev, time. Only the system message names the actor.
update messages set pinned_at = $5, rev = $4 where tenant = $1 and conversation = $2 and seq = $3

-- name: page
-- Pinned messages that the user can see, the latest first: tenant, conversation, user, limit.
-- They are found by the index of messages; `messages_for` computes pinned_at, which cannot be indexed.
select f.*
from messages m
cross join lateral messages_for($1, $2, $3) as f
where m.tenant = $1 and m.conversation = $2 and m.pinned_at is not null and f.seq = m.seq and f.pinned_at is not null
order by f.pinned_at desc limit $4
