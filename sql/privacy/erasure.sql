-- name: mark
-- The name goes, the row stays, because others point at it; no row for an unknown user, or one who is erased: tenant, user, now.
update users set erased_at = $3, name = null where tenant = $1 and id = $2 and erased_at is null returning id

-- name: exists
-- Tenant, user.
select 1 from users where tenant = $1 and id = $2

-- name: queue
-- The rest of the work, and the line in the audit log: tenant, user, now, who asked for it, id of that line.
with asked as (
    insert into erasures (tenant, user_id, requested_at, actor) values ($1, $2, $3, $4)
)
insert into audit_log (tenant, id, at, actor, act, subject) values ($1, $5, $3, $4, 'user.erase', $2::uuid::text)

-- name: take
-- The erasure that waits longest and that no node is at: until this node has it (milliseconds from now).
update erasures e set taken_until = millis() + $1
where (e.tenant, e.user_id) in (
    select o.tenant, o.user_id from erasures o
    where o.done_at is null and (o.taken_until is null or o.taken_until <= millis())
    order by o.requested_at limit 1
    for update skip locked
)
returning e.tenant, e.user_id::text as user, e.position, e.buried_in_pass

-- name: advance
-- How far it is: tenant, user, position, messages buried since the last time, until then this node is at it (milliseconds from now).
update erasures
set position = $3, buried = buried + $4, buried_in_pass = buried_in_pass + $4, taken_until = millis() + $5
where tenant = $1 and user_id = $2

-- name: hold
-- This node is still at it: tenant, user, until then (milliseconds from now).
update erasures set taken_until = millis() + $3 where tenant = $1 and user_id = $2

-- name: again
-- One more pass through the messages: tenant, user.
update erasures set position = '', buried_in_pass = 0 where tenant = $1 and user_id = $2

-- name: finish
-- It is done, unless it was asked for too short a time ago: then once more from the beginning, after that time: tenant, user, milliseconds.
update erasures set position = '', buried_in_pass = 0,
    done_at = case when requested_at <= millis() - $3::bigint then millis() end,
    taken_until = case when requested_at > millis() - $3::bigint then requested_at + $3::bigint end
where tenant = $1 and user_id = $2
returning done_at is not null

-- name: page
-- Erasures, those that are not done first: tenant, limit.
select e.user_id::text as user, e.requested_at, e.actor, e.buried as messages, e.done_at
from erasures e
where e.tenant = $1
order by e.done_at desc nulls first, e.requested_at desc limit $2
