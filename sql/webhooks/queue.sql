-- Statements on the queue: from the outbox to deliveries, and from claims to their ends.

-- name: route
-- Move rows of the outbox to the endpoints that want them, and mark their streams: limit. Returns the number of rows.
with taken as materialized (
    delete from outbox o
    where o.consumer = 'webhooks' and o.id = any(array(
        select x.id from outbox x where x.consumer = 'webhooks' order by x.id limit $1
    ))
    returning o.*
),
named as materialized (
    select t.*, gen_random_uuid() as event from taken t
),
routed as materialized (
    select n.consumer, n.id, n.tenant, n.key, n.subject, n.seq, n.user_id, n.actor, n.at, n.event, e.id as endpoint,
        case
            when e.bot is null or n.type not like 'member.%' then n.type
            when n.type = 'member.added' then 'bot.added'
            else 'bot.removed'
        end as type
    from named n
    cross join lateral (
        select e.id, e.bot from webhook_endpoints e
        where e.tenant = n.tenant and e.disabled_at is null and e.removed_at is null and case
            when e.bot is null
                then n.type <> 'bot.command' and e.types && array[n.type, split_part(n.type, '.', 1) || '.*', '*']
            when n.type in ('member.added', 'member.removed') then n.user_id = e.bot
            when n.type = 'action.created' then n.actor = e.bot
            when n.type in ('message.created', 'bot.command')
                then n.user_id <> e.bot and may_bot_receive(n.tenant, n.key, e.bot, n.seq, n.type = 'bot.command')
            else false
        end
    ) as e
),
new_deliveries as (
    insert into webhook_deliveries (tenant, endpoint, id, event, type, key, subject, seq, user_id, actor, at, retried_from)
    select r.tenant, r.endpoint, r.id, r.event, r.type, r.key, r.subject, r.seq, r.user_id, r.actor, r.at, now_ms() from routed r
),
new_streams as (
    insert into webhook_streams (tenant, endpoint, key, due_at)
    select distinct r.tenant, r.endpoint, r.key, now_ms() from routed r order by 2, 3, 1
    on conflict (endpoint, key, tenant) do update set version = webhook_streams.version + 1
)
select count(*) from taken

-- name: due_endpoints
-- Endpoints that have due streams, by id: after this one, without these, limit. Each look-up of `found` skips to the next
-- endpoint that has streams at all; those without events have none.
with recursive found as (
    (select s.endpoint from webhook_streams s where s.endpoint > $1::uuid order by s.endpoint limit 1)
    union all
    select (select s.endpoint from webhook_streams s where s.endpoint > f.endpoint order by s.endpoint limit 1)
    from found f where f.endpoint is not null
)
select f.endpoint::text from found f
where f.endpoint <> all($2::uuid[]) and exists (
    select 1 from webhook_streams x where x.endpoint = f.endpoint and x.due_at <= now_ms()
) and exists (
    select 1 from webhook_endpoints e where e.id = f.endpoint and e.disabled_at is null and e.removed_at is null
)
limit $3

-- name: claim
-- Claim due streams: endpoints, how many of each, how many of all, claim, its duration in milliseconds.
update webhook_streams s set claim = $4, due_at = now_ms() + $5::bigint
where s.ctid = any(array(
    select d.place from unnest($1::uuid[], $2::integer[]) as w (endpoint, places)
    cross join lateral (
        select x.ctid as place from webhook_streams x
        where x.endpoint = w.endpoint and x.due_at <= now_ms()
        order by x.due_at limit w.places
        for update skip locked
    ) as d
    limit $3
))
returning s.tenant, s.endpoint::text, s.key::text, s.version

-- name: pending
-- The next events of a stream: tenant, endpoint, key, limit.
select d.id, d.event::text, d.type, d.key::text, d.subject::text, d.seq, d.user_id::text, d.actor::text, d.at, d.attempts, d.retried_from
from webhook_deliveries d
where d.endpoint = $2 and d.key = $3 and d.tenant = $1 and d.state = 'pending'
order by d.id limit $4

-- name: settle
-- Record attempts, if the stream is still claimed: tenant, endpoint, key, claim; ids, states, errors, milliseconds for
-- which settled ones are kept, pairwise.
with claimed as materialized (
    select 1 from webhook_streams s where s.endpoint = $2 and s.key = $3 and s.tenant = $1 and s.claim = $4 for update
)
update webhook_deliveries d
set state = r.state, error = r.error, attempts = d.attempts + 1, attempted_at = now_ms(),
    settled_at = case when r.state <> 'pending' then now_ms() end,
    kept_until = case when r.state <> 'pending' then now_ms() + r.kept end
from unnest($5::bigint[], $6::text[], $7::text[], $8::bigint[]) as r (id, state, error, kept)
where d.endpoint = $2 and d.id = r.id and d.tenant = $1 and d.state = 'pending' and exists (select 1 from claimed)

-- name: end_stream
-- End a claimed stream that has no more events and got none during the claim: tenant, endpoint, key, claim, version.
delete from webhook_streams s
where s.endpoint = $2 and s.key = $3 and s.tenant = $1 and s.claim = $4 and s.version = $5::bigint
returning 1

-- name: release
-- End a claim: tenant, endpoint, key, claim, milliseconds until the stream is due.
update webhook_streams s set claim = null, due_at = now_ms() + $5::bigint
where s.endpoint = $2 and s.key = $3 and s.tenant = $1 and s.claim = $4

-- name: oldest_pending
-- When the event happened that has waited longest at one of these endpoints: endpoints.
select min(d.at) from unnest($1::uuid[]) as e (id)
cross join lateral (
    select d.at from webhook_deliveries d where d.endpoint = e.id and d.state = 'pending' order by d.id limit 1
) as d
