-- name: mark_erased
-- Mark a user as erased and remove the profile; other rows still reference the user. No row for an unknown or erased user:
-- tenant, user, now.
update users set
    erased_at = $3, name = null, external_id = null, picture_url = null, locale = null, roles = '{}', claims = null, claims_at = null
where tenant = $1 and id = $2 and erased_at is null
returning id

-- name: exists
-- Tenant, user.
select 1 from users where tenant = $1 and id = $2

-- name: queue
-- Queue the erasure, and add an entry to the audit log: tenant, user, now, actor, id of that entry.
with requested as (
    insert into erasures (tenant, user_id, requested_at, actor) values ($1, $2, $3, $4)
)
insert into audit_log (tenant, id, at, actor, act, subject) values ($1, $5, $3, $4, 'user.erase', $2::uuid::text)

-- name: claim_next
-- Claim the oldest erasure that no other node has claimed: duration of the claim in milliseconds.
update erasures e set claimed_until = now_ms() + $1
where (e.tenant, e.user_id) in (
    select o.tenant, o.user_id from erasures o
    where o.done_at is null and (o.claimed_until is null or o.claimed_until <= now_ms())
    order by o.requested_at limit 1
    for update skip locked
)
returning e.tenant, e.user_id::text as user, e.position, e.erased_in_pass

-- name: advance
-- Record progress: tenant, user, position, number of messages deleted since the last time, duration of the claim in
-- milliseconds.
update erasures
set position = $3, erased_messages = erased_messages + $4, erased_in_pass = erased_in_pass + $4, claimed_until = now_ms() + $5
where tenant = $1 and user_id = $2

-- name: extend_claim
-- Extend the claim: tenant, user, duration in milliseconds.
update erasures set claimed_until = now_ms() + $3 where tenant = $1 and user_id = $2

-- name: restart_pass
-- Start another pass through the messages: tenant, user.
update erasures set position = '', erased_in_pass = 0 where tenant = $1 and user_id = $2

-- name: finish
-- Complete the erasure; if it was requested less than a time ago, repeat it from the start after that time: tenant,
-- user, milliseconds.
update erasures set position = '', erased_in_pass = 0,
    done_at = case when requested_at <= now_ms() - $3::bigint then now_ms() end,
    claimed_until = case when requested_at > now_ms() - $3::bigint then requested_at + $3::bigint end
where tenant = $1 and user_id = $2
returning done_at is not null

-- name: page
-- Erasures, the incomplete ones first: tenant, limit.
select e.user_id::text as user, e.requested_at, e.actor, e.erased_messages as messages, e.done_at
from erasures e
where e.tenant = $1
order by e.done_at desc nulls first, e.requested_at desc limit $2
