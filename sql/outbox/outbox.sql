-- name: lock_consumer
-- Whether this transaction may take rows of a consumer; no other one does until its end: consumer.
select pg_try_advisory_xact_lock(hashtextextended('chatd outbox ' || $1, 0))

-- name: wait_for_consumer
-- The same, after the transaction that takes them now: consumer.
select pg_advisory_xact_lock(hashtextextended('chatd outbox ' || $1, 0))

-- name: set_interests
-- Replace the interests of a consumer in a tenant: consumer, tenant, types.
with removed as (
    delete from outbox_interests i where i.consumer = $1 and i.tenant = $2 and i.type <> all($3::text[])
)
insert into outbox_interests (type, tenant, consumer) select t.type, $2, $1 from unnest($3::text[]) as t (type)
on conflict do nothing

-- name: oldest
-- When the oldest row of a consumer was written: consumer.
select o.at from outbox o where o.consumer = $1 order by o.id limit 1

-- name: silence
-- Let triggers add nothing to the outbox in the rest of this transaction.
select set_config('chatd.outbox', 'off', true)
