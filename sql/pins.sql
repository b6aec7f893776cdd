-- name: count
-- Tenant, conversation.
select count(*) as found from messages where tenant = $1 and conversation = $2 and pinned_at is not null

-- name: set
-- Pin, or with a null take the pin back: tenant, conversation, seq, rev, when, who.
update messages set pinned_at = $5, pinned_by = $6, rev = $4 where tenant = $1 and conversation = $2 and seq = $3

-- name: page
-- What is pinned and the user may see, the latest first: tenant, conversation, user, limit.
select f.* from messages_for($1, $2, $3) as f where f.pinned_at is not null order by f.pinned_at desc limit $4
