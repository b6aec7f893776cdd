-- name: make
-- Create a match with its conversation and members, each with an alias: tenant, match, queue, conversation, users, now,
-- criteria of each user. A unique index on active matches refuses a user who is in another one.
with people as materialized (
    select p.*, row_number() over (order by p.alias) as rev
    from (select u.id, u.criteria, gen_random_uuid() as alias from unnest($5::uuid[], $7::json[]) as u (id, criteria)) as p
),
new_conversation as (
    insert into conversations (tenant, id, kind, rev, members, created_at, active_at)
    values ($1, $4, 'match', cardinality($5::uuid[]), cardinality($5::uuid[]), $6, $6)
    returning tenant, id
),
made as (
    insert into matches (tenant, id, queue, conversation, created_at)
    select n.tenant, $2, $3, n.id, $6 from new_conversation n
    returning tenant, id
),
joined as (
    insert into members (tenant, conversation, user_id, joined_at, rev, alias)
    select n.tenant, n.id, u.id, $6, u.rev, u.alias from new_conversation n cross join people u
),
paired as (
    insert into match_members (tenant, match, user_id, created_at, criteria)
    select made.tenant, made.id, u.id, $6, u.criteria from made cross join people u
)
select p.id::text as user, p.name, u.alias::text from people u join users p on p.tenant = $1 and p.id = u.id

-- name: active
-- The match that a user is in, with their criteria, and the aliases of all by user: tenant, user.
select m.id::text as match, m.conversation::text, m.queue, m.created_at, c.rev, b.criteria,
    (select jsonb_object_agg(o.user_id, o.alias) from members o
        join match_members p on p.tenant = m.tenant and p.match = m.id and p.user_id = o.user_id
        where o.tenant = c.tenant and o.conversation = c.id) as aliases
from match_members b
join matches m on m.tenant = b.tenant and m.id = b.match
join conversations c on c.tenant = m.tenant and c.id = m.conversation
where b.tenant = $1 and b.user_id = $2 and b.ended_at is null

-- name: recent
-- Partners of the last matches of a user: tenant, user, number of matches.
select distinct o.user_id::text as user
from (
    select b.tenant, b.match from match_members b
    where b.tenant = $1 and b.user_id = $2 order by b.created_at desc limit $3
) as l
join match_members o on o.tenant = l.tenant and o.match = l.match
where o.user_id <> $2

-- name: end
-- End a match: tenant, match, reason, now. No row if it has ended already, or was kept.
-- The row of the conversation is locked, as it is for a message: a message is committed before the end, or refused.
with ended as (
    update matches m set ended_at = $4, reason = $3
    where m.tenant = $1 and m.id = $2 and m.ended_at is null
    returning m.tenant, m.id, m.conversation
),
closed as (
    update conversations c set rev = c.rev + 1, members = 0, changed = pg_current_xact_id()
    from ended where c.tenant = ended.tenant and c.id = ended.conversation
    returning c.tenant, c.id, c.rev, c.seq
),
parted as (
    delete from members b using closed where b.tenant = closed.tenant and b.conversation = closed.id
    returning b.tenant, b.conversation, b.user_id, b.alias
),
noted as (
    insert into former_members (tenant, conversation, user_id, rev, seq, left_at, alias)
    select parted.tenant, parted.conversation, parted.user_id, closed.rev, closed.seq, $4, parted.alias from parted cross join closed
    on conflict (conversation, user_id, tenant) do nothing
),
freed as (
    update match_members b set ended_at = $4, criteria = null
    from ended where b.tenant = ended.tenant and b.match = ended.id
    returning b.user_id
)
select ended.conversation::text, array(select user_id::text from freed) as users from ended

-- name: lock
-- Lock a match: tenant, match.
select 1 from matches m where m.tenant = $1 and m.id = $2 for update

-- name: in_matches
-- Users in a match, page by page: tenant and user of the last row, limit.
select b.tenant, b.user_id::text as user from match_members b
where b.ended_at is null and (b.user_id, b.tenant) > ($2::uuid, $1::text)
order by b.user_id, b.tenant limit $3

-- name: keep
-- Vote to keep a locked match: tenant, match, user. Returns whether the vote counted, and whether all users have voted.
with vote as (
    update match_members b set keep = true
    where b.tenant = $1 and b.match = $2 and b.user_id = $3 and b.ended_at is null
    returning b.user_id
)
select exists (select 1 from vote) as counted, not exists (
    select 1 from match_members o where o.tenant = $1 and o.match = $2 and o.user_id <> $3 and not o.keep
) as all

-- name: make_ordinary
-- Make the conversation of a match an ordinary one: tenant, match, now, lower and higher user (null if there are more
-- than two). It becomes the direct conversation of two users who have none; else a group with an owner, whose role is a
-- change. The match and the pair of users are locked: their direct conversation cannot be opened at the same time.
with ended as (
    update matches m set ended_at = $3, reason = 'kept'
    where m.tenant = $1 and m.id = $2 and m.ended_at is null
    returning m.tenant, m.id, m.conversation, case when $4::uuid is null or exists (
        select 1 from conversations d where d.tenant = $1 and d.pair_low = $4 and d.pair_high = $5
    ) then 'group' else 'direct' end as kind
),
freed as (
    update match_members b set ended_at = $3, criteria = null from ended where b.tenant = ended.tenant and b.match = ended.id
),
ordinary as (
    update conversations c
    set kind = ended.kind, rev = c.rev + (ended.kind = 'group')::integer, changed = pg_current_xact_id(),
        pair_low = case when ended.kind = 'direct' then $4::uuid end, pair_high = case when ended.kind = 'direct' then $5::uuid end
    from ended where c.tenant = ended.tenant and c.id = ended.conversation
    returning c.tenant, c.id, c.kind, c.rev
),
-- The members know each other by user id. Those who had hidden or archived the match see it in their lists again.
shown as (
    update members b
    set alias = null, hidden_seq = null, archived = false, changed = pg_current_xact_id(),
        role = case when o.is_owner then 'owner' else b.role end, rev = case when o.is_owner then ordinary.rev else b.rev end
    from ordinary cross join lateral (
        select ordinary.kind = 'group' and f.user_id = first_value(f.user_id) over (order by f.user_id) as is_owner, f.user_id
        from members f where f.tenant = ordinary.tenant and f.conversation = ordinary.id
    ) as o
    where b.tenant = ordinary.tenant and b.conversation = ordinary.id and b.user_id = o.user_id
)
select id::text, kind, rev from ordinary

-- name: announced
-- Whether a user has received `match.found`: tenant, match, user.
select b.announced from match_members b where b.tenant = $1 and b.match = $2 and b.user_id = $3

-- name: missed
-- Users who have missed an announcement: tenants, users, the match that each was sent (null: none), whether to send it
-- again. `ended`: the reason why that match ended, with its conversation. `now`: the match to announce.
select a.tenant, a.user_id::text as user, a.known::text, k.reason as ended, k.conversation::text, b.match::text as now
from unnest($1::text[], $2::uuid[], $3::uuid[], $4::boolean[]) as a (tenant, user_id, known, again)
left join match_members b on b.tenant = a.tenant and b.user_id = a.user_id and b.ended_at is null
    and (a.again or b.match is distinct from a.known)
left join matches k on k.tenant = a.tenant and k.id = a.known and k.ended_at is not null
where k.id is not null or b.match is not null

-- name: people
-- Names of users: tenant, users.
select p.id::text as user, p.name from users p where p.tenant = $1 and p.id = any($2::uuid[])
