-- name: lock_user
-- Scheduled messages of a user are added one at a time, so that their count is exact: tenant, user.
select 1 from users where tenant = $1 and id = $2 for no key update

-- name: find_by_client_id
-- The scheduled or sent message with this client_id of a user, if any: tenant, user, client_id.
select s.id::text, s.due_at, false as sent from scheduled_messages s where s.tenant = $1 and s.sender = $2 and s.client_id = $3
union all
select m.id::text, m.created_at, true from messages m where m.tenant = $1 and m.sender = $2 and m.client_id = $3
limit 1

-- name: count
-- Tenant, user.
select count(*) from scheduled_messages where tenant = $1 and sender = $2

-- name: add
-- Tenant, id, conversation, user, client_id, body, due, now, uploads.
with new_message as (
    insert into scheduled_messages (tenant, id, conversation, sender, client_id, body, due_at, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    returning tenant, id
),
touched_settings as (
    insert into user_settings (tenant, user_id) values ($1, $4)
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
)
insert into scheduled_uploads (tenant, upload, scheduled)
select distinct new_message.tenant, u.id, new_message.id from new_message
join uploads u on u.tenant = new_message.tenant and u.id = any($9::uuid[])

-- name: page
-- Scheduled messages of a user, in the order of their creation: tenant, user, after (null: from the first), limit.
select s.id::text, s.conversation::text, s.client_id, s.body, s.due_at, s.failed, s.created_at
from scheduled_messages s
where s.tenant = $1 and s.sender = $2 and s.id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
order by s.id limit $4

-- name: lock_message
-- A scheduled message of a user, locked. `sent`: it is being sent, or was sent and is not deleted yet. Tenant, user,
-- id.
select s.id::text, s.conversation::text, s.client_id, s.body, s.due_at, s.failed, s.created_at,
    coalesce(s.claimed_until > now_ms(), false) or exists (
        select 1 from messages m where m.tenant = s.tenant and m.sender = s.sender and m.client_id = s.client_id
    ) as sent
from scheduled_messages s
where s.tenant = $1 and s.sender = $2 and s.id = $3
for update of s

-- name: cancel
-- Tenant, user, id.
with touched_settings as (
    insert into user_settings (tenant, user_id) values ($1, $2)
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
)
delete from scheduled_messages where tenant = $1 and sender = $2 and id = $3

-- name: edit
-- Change a scheduled message; a failed one is tried again: tenant, user, id, body, due.
with touched_settings as (
    insert into user_settings (tenant, user_id) values ($1, $2)
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
)
update scheduled_messages set body = $4, due_at = $5, failed = null, claimed_until = null, changed = pg_current_xact_id()
where tenant = $1 and sender = $2 and id = $3

-- name: claim_due
-- Claim due scheduled messages that no other node has claimed: duration of the claim in milliseconds, limit.
-- `banned`: the sender is banned.
update scheduled_messages s set claimed_until = now_ms() + $1
where s.ctid = any(array(
    select o.ctid from scheduled_messages o
    where o.due_at <= now_ms() and o.failed is null and (o.claimed_until is null or o.claimed_until <= now_ms())
    order by o.due_at limit $2
    for update skip locked
))
returning s.tenant, s.id::text, s.conversation::text, s.sender::text, s.client_id, s.body,
    exists (
        select 1 from bans b
        where b.tenant = s.tenant and b.user_id = s.sender and b.lifted_at is null
            and (b.expires_at is null or b.expires_at > now_ms())
        offset 0
    ) as banned

-- name: delete_sent
-- Delete a message that was sent: tenant, id.
with deleted as (
    delete from scheduled_messages where tenant = $1 and id = $2
    returning tenant, sender
)
insert into user_settings (tenant, user_id) select tenant, sender from deleted
on conflict (user_id, tenant) do update set changed = pg_current_xact_id()

-- name: mark_failed
-- Mark a message as refused: tenant, id, code. Its sender can still change or cancel it.
with failed_message as (
    update scheduled_messages set failed = $3, claimed_until = null, changed = pg_current_xact_id() where tenant = $1 and id = $2
    returning tenant, sender
),
touched_settings as (
    insert into user_settings (tenant, user_id) select tenant, sender from failed_message
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
)
select 1 from failed_message

-- name: retry_later
-- Retry after some time, because it is not known whether the message may be sent: tenant, id, milliseconds.
update scheduled_messages set claimed_until = now_ms() + $3 where tenant = $1 and id = $2
