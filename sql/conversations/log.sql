-- name: append_messages
-- One batch of messages: locked, checked, numbered and inserted. See append_messages().
select ord, outcome, id::text, seq, rev, created_at, expires_at, alias::text, replies
from append_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: advance_receipts
-- One batch of receipts. See advance_receipts().
select ord, outcome, delivered_seq, read_seq, rev, seq, unread, mentions, alias::text
from advance_receipts($1, $2, $3, $4, $5, $6)

-- name: revs
-- The counters of conversations, after waiting for running changes: tenants, ids, pairwise.
select c.tenant, c.id::text, c.rev from conversations c
where (c.tenant, c.id) in (select * from unnest($1::text[], $2::uuid[]))
for share of c

-- name: lock_states
-- Those of these conversations that exist, and again those that no other transaction has locked as a writer does:
-- tenants, ids, pairwise.
with unlocked as materialized (
    select c.tenant, c.id from conversations c
    where (c.tenant, c.id) in (select * from unnest($1::text[], $2::uuid[]))
    for no key update skip locked
)
select u.tenant, u.id::text, true as is_free from unlocked u
union all
select c.tenant, c.id::text, false from conversations c
where (c.tenant, c.id) in (select * from unnest($1::text[], $2::uuid[]))
