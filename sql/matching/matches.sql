-- name: create_match
-- Create a match with its conversation and members, each with an alias: tenant, match, queue, conversation, users, now,
-- criteria of each user. A unique index on active matches refuses a user who is in another one.
with new_members as materialized (
    select p.*, row_number() over (order by p.alias) as rev
    from (select u.id, u.criteria, gen_random_uuid() as alias from unnest($5::uuid[], $7::json[]) as u (id, criteria)) as p
),
new_conversation as (
    insert into conversations (tenant, id, kind, rev, members, created_at, active_at)
    values ($1, $4, 'match', cardinality($5::uuid[]), cardinality($5::uuid[]), $6, $6)
    returning tenant, id
),
new_match as (
    insert into matches (tenant, id, queue, conversation, created_at)
    select n.tenant, $2, $3, n.id, $6 from new_conversation n
    returning tenant, id
),
inserted_members as (
    insert into members (tenant, conversation, user_id, joined_at, rev, alias)
    select n.tenant, n.id, u.id, $6, u.rev, u.alias from new_conversation n cross join new_members u
),
inserted_match_members as (
    insert into match_members (tenant, match, user_id, created_at, criteria)
    select new_match.tenant, new_match.id, u.id, $6, u.criteria from new_match cross join new_members u
)
select p.id::text as user, p.name, u.alias::text from new_members u join users p on p.tenant = $1 and p.id = u.id

-- name: active_match
-- The match that a user is in, with the user's criteria and the aliases of all members by user: tenant, user.
select m.id::text as match, m.conversation::text, m.queue, m.created_at, c.rev, b.criteria,
    (select jsonb_object_agg(o.user_id, o.alias) from members o
        join match_members p on p.tenant = m.tenant and p.match = m.id and p.user_id = o.user_id
        where o.tenant = c.tenant and o.conversation = c.id) as aliases
from match_members b
join matches m on m.tenant = b.tenant and m.id = b.match
join conversations c on c.tenant = m.tenant and c.id = m.conversation
where b.tenant = $1 and b.user_id = $2 and b.ended_at is null

-- name: user_for_ticket
-- What a ticket has to say of its user: tenant, user, number of recent matches, limit of `avoid`.
-- `is_shadowed`: the user is matched with shadow-banned users only. `avoid`: users whom the user has blocked by any id, and
-- those who have blocked the user. `recent`: the partners of the last matches.
select
    coalesce((select u.shadow_banned from users u where u.tenant = $1 and u.id = $2), false) as is_shadowed,
    array(
        select b.blocked::text from blocks b where b.tenant = $1 and b.blocker = $2
        union
        select b.blocker::text from blocks b where b.tenant = $1 and b.blocked = $2
        limit $4
    ) as avoid,
    array(
        select distinct o.user_id::text
        from (
            select b.tenant, b.match from match_members b
            where b.tenant = $1 and b.user_id = $2 order by b.created_at desc limit $3
        ) as l
        join match_members o on o.tenant = l.tenant and o.match = l.match
        where o.user_id <> $2
    ) as recent

-- name: end_match
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
removed as (
    delete from members b using closed where b.tenant = closed.tenant and b.conversation = closed.id
    returning b.tenant, b.conversation, b.user_id, b.alias
),
new_former_members as (
    insert into former_members (tenant, conversation, user_id, rev, seq, left_at, alias)
    select removed.tenant, removed.conversation, removed.user_id, closed.rev, closed.seq, $4, removed.alias from removed cross join closed
    on conflict (conversation, user_id, tenant) do nothing
),
released as (
    update match_members b set ended_at = $4, criteria = null
    from ended where b.tenant = ended.tenant and b.match = ended.id
    returning b.user_id
)
select ended.conversation::text, array(select user_id::text from released) as users from ended

-- name: lock_match
-- Lock a match: tenant, match.
select 1 from matches m where m.tenant = $1 and m.id = $2 for update

-- name: page_users_in_matches
-- A page of the users who are in a match: tenant and user of the last row, limit.
select b.tenant, b.user_id::text as user from match_members b
where b.ended_at is null and (b.user_id, b.tenant) > ($2::uuid, $1::text)
order by b.user_id, b.tenant limit $3

-- name: vote_to_keep
-- Vote to keep a locked match: tenant, match, user. Returns whether the vote counted, and whether all users have voted.
with vote as (
    update match_members b set keep = true
    where b.tenant = $1 and b.match = $2 and b.user_id = $3 and b.ended_at is null
    returning b.user_id
)
select exists (select 1 from vote) as counted, not exists (
    select 1 from match_members o where o.tenant = $1 and o.match = $2 and o.user_id <> $3 and not o.keep
) as all_voted

-- name: make_ordinary
-- Make the conversation of a match an ordinary one: tenant, match, now, lower and higher user (null if there are more
-- than two). It becomes the direct conversation of two users who have none; else a group with an owner, whose role is a
-- change. The match and the pair of users are locked: their direct conversation cannot be opened at the same time. The
-- users become contacts of each other.
with ended as (
    update matches m set ended_at = $3, reason = 'kept'
    where m.tenant = $1 and m.id = $2 and m.ended_at is null
    returning m.tenant, m.id, m.conversation, case when $4::uuid is null or exists (
        select 1 from conversations d where d.tenant = $1 and d.pair_low = $4 and d.pair_high = $5
    ) then 'group' else 'direct' end as kind
),
released as (
    update match_members b set ended_at = $3, criteria = null from ended where b.tenant = ended.tenant and b.match = ended.id
),
ordinary as (
    update conversations c
    set kind = ended.kind, rev = c.rev + (ended.kind = 'group')::integer, changed = pg_current_xact_id(),
        pair_low = case when ended.kind = 'direct' then $4::uuid end, pair_high = case when ended.kind = 'direct' then $5::uuid end
    from ended where c.tenant = ended.tenant and c.id = ended.conversation
    returning c.tenant, c.id, c.kind, c.rev
),
-- The members know each other by user id from now on. The conversation is shown again to members who had hidden or
-- archived it.
updated_members as (
    update members b
    set alias = null, hidden_seq = null, archived = false, changed = pg_current_xact_id(),
        role = case when o.is_owner then 'owner' else b.role end, rev = case when o.is_owner then ordinary.rev else b.rev end
    from ordinary cross join lateral (
        select ordinary.kind = 'group' and f.user_id = first_value(f.user_id) over (order by f.user_id) as is_owner, f.user_id
        from members f where f.tenant = ordinary.tenant and f.conversation = ordinary.id
    ) as o
    where b.tenant = ordinary.tenant and b.conversation = ordinary.id and b.user_id = o.user_id
),
new_contacts as (
    insert into contacts (tenant, user_id, contact, created_at)
    select one.tenant, one.user_id, other.user_id, $3
    from ordinary
    join members one on one.tenant = ordinary.tenant and one.conversation = ordinary.id
    join members other on other.tenant = ordinary.tenant and other.conversation = ordinary.id and other.user_id <> one.user_id
    order by one.user_id, other.user_id
    on conflict (user_id, contact, tenant) do nothing
),
changed_settings as (
    insert into user_settings (tenant, user_id)
    select b.tenant, b.user_id from ordinary
    join members b on b.tenant = ordinary.tenant and b.conversation = ordinary.id
    order by b.user_id
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
)
select id::text, kind, rev from ordinary

-- name: is_announced
-- Whether a user has received `match.found`: tenant, match, user.
select b.announced from match_members b where b.tenant = $1 and b.match = $2 and b.user_id = $3

-- name: missed_announcements
-- Users who have missed an announcement: tenants, users, the match that was sent to each (null: none), whether to send
-- it again. `end_reason`: why that match ended, with its conversation. `new_match`: the match to announce.
select a.tenant, a.user_id::text as user, a.sent::text, k.reason as end_reason, k.conversation::text, b.match::text as new_match
from unnest($1::text[], $2::uuid[], $3::uuid[], $4::boolean[]) as a (tenant, user_id, sent, resend)
left join match_members b on b.tenant = a.tenant and b.user_id = a.user_id and b.ended_at is null
    and (a.resend or b.match is distinct from a.sent)
left join matches k on k.tenant = a.tenant and k.id = a.sent and k.ended_at is not null
where k.id is not null or b.match is not null

-- name: names
-- Names of users: tenant, users.
select p.id::text as user, p.name from users p where p.tenant = $1 and p.id = any($2::uuid[])
