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

-- name: forget_access
-- All that the user could come in with. Refresh tokens go with their logins: tenant, user.
with devices as (
    delete from devices where tenant = $1 and user_id = $2
),
spent as (
    delete from tickets where tenant = $1 and user_id = $2
)
delete from logins where tenant = $1 and user_id = $2

-- name: forget_own
-- What was the user's own and is little: tenant, user.
with planned as (
    delete from scheduled_messages where tenant = $1 and sender = $2
),
avoided as (
    delete from blocks where tenant = $1 and blocker = $2
),
asked as (
    delete from join_requests where tenant = $1 and user_id = $2
),
links as (
    delete from invites where tenant = $1 and creator = $2
)
delete from user_settings where tenant = $1 and user_id = $2

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

-- name: memberships
-- Conversations of a user, by their id: tenant, user, after this one, limit.
select c.id::text, c.kind,
    (select h.id::text from matches h where h.tenant = c.tenant and h.conversation = c.id and h.ended_at is null limit 1) as match
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation
where b.tenant = $1 and b.user_id = $2 and b.conversation > $3::uuid
order by b.conversation limit $4

-- name: strip
-- What a member has set for themselves in a conversation that they stay in: tenant, conversation, user, rev.
update members
set muted_until = null, archived = false, pinned_at = null, hidden_seq = null, draft = null, draft_at = null, notify = null, rev = $4,
    changed = pg_current_xact_id()
where tenant = $1 and conversation = $2 and user_id = $3

-- name: messages
-- What a user has written, by its client_id: tenant, user, after this one, limit.
select m.conversation::text, m.seq, m.client_id, m.deleted_at is not null or m.system is not null as gone
from messages m
where m.tenant = $1 and m.sender = $2 and m.client_id > $3
order by m.client_id limit $4

-- name: not_gone
-- Those of these messages that nobody has buried meanwhile: tenant, conversation, seqs.
select m.seq from messages m
where m.tenant = $1 and m.conversation = $2 and m.seq = any($3::bigint[]) and m.deleted_at is null
order by m.seq

-- name: reactions
-- Tenant, user, limit.
select r.conversation::text, r.seq, r.emoji from reactions r where r.tenant = $1 and r.user_id = $2 limit $3

-- name: is_set
-- Whether a reaction is there: tenant, conversation, seq, user, emoji.
select 1 from reactions where tenant = $1 and conversation = $2 and seq = $3 and user_id = $4 and emoji = $5

-- name: forget_marks
-- So many of a user's stars and hidden messages; how many went: tenant, user, limit.
with gone as (
    delete from marks k
    where k.ctid = any(array(select o.ctid from marks o where o.tenant = $1 and o.user_id = $2 limit $3))
    returning 1
)
select count(*) from gone

-- name: release_uploads
-- From here on nobody reads these files; the sweep of the uploads removes the bytes. How many: tenant, user, now, limit.
with chosen as (
    select u.id from uploads u where u.tenant = $1 and u.owner = $2 and u.removed_at is null limit $4
    for update
),
used as (
    delete from upload_uses x using chosen where x.tenant = $1 and x.upload = chosen.id
),
gone as (
    update uploads u set removed_at = $3, name = null from chosen where u.tenant = $1 and u.id = chosen.id
    returning 1
)
select count(*) from gone

-- name: page
-- Erasures, those that are not done first: tenant, limit.
select e.user_id::text as user, e.requested_at, e.actor, e.buried as messages, e.done_at
from erasures e
where e.tenant = $1
order by e.done_at desc nulls first, e.requested_at desc limit $2
