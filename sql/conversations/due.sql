-- name: take
-- Claim due scheduled messages that no other node has claimed: duration of the claim in milliseconds, limit.
-- `banned`: the sender is banned.
update scheduled_messages s set taken_until = millis() + $1
where s.ctid = any(array(
    select o.ctid from scheduled_messages o
    where o.due_at <= millis() and o.failed is null and (o.taken_until is null or o.taken_until <= millis())
    order by o.due_at limit $2
    for update skip locked
))
returning s.tenant, s.id::text, s.conversation::text, s.sender::text, s.client_id, s.body,
    exists (
        select 1 from bans b
        where b.tenant = s.tenant and b.user_id = s.sender and b.lifted_at is null
            and (b.expires_at is null or b.expires_at > millis())
        offset 0
    ) as banned

-- name: done
-- Delete a message that was sent: tenant, id.
with gone as (
    delete from scheduled_messages where tenant = $1 and id = $2
    returning tenant, sender
)
insert into user_settings (tenant, user_id) select tenant, sender from gone
on conflict (user_id, tenant) do update set changed = pg_current_xact_id()

-- name: failed
-- Mark a message as refused: tenant, id, code. Its sender can still change or cancel it.
with kept as (
    update scheduled_messages set failed = $3, taken_until = null, changed = pg_current_xact_id() where tenant = $1 and id = $2
    returning tenant, sender
),
noted as (
    insert into user_settings (tenant, user_id) select tenant, sender from kept
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
)
select 1 from kept

-- name: later
-- Retry after some time, because it is not known whether it may be sent: tenant, id, milliseconds.
update scheduled_messages set taken_until = millis() + $3 where tenant = $1 and id = $2
