-- name: count
-- Tenant, conversation.
select count(*) as found from messages where tenant = $1 and conversation = $2 and pinned_at is not null

-- name: set
-- Pin, or with a null take the pin back: tenant, conversation, seq, rev, when. Who did it is said by a message of the system only.
update messages set pinned_at = $5, pinned_by = null, rev = $4 where tenant = $1 and conversation = $2 and seq = $3

-- name: page
-- What is pinned and the user may see, the latest first: tenant, conversation, user, limit.
-- Found by their index: what `messages_for` says of a pin depends on the time, so that it cannot be found by that.
select f.*
from messages m
cross join lateral messages_for($1, $2, $3) as f
where m.tenant = $1 and m.conversation = $2 and m.pinned_at is not null and f.seq = m.seq and f.pinned_at is not null
order by f.pinned_at desc limit $4
