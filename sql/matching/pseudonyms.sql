-- name: met
-- With whom somebody is in a match, or was in one that ended after a time: tenant, user, time, of how many matches. The first ones first.
-- Known are those with whom they share a conversation that is no match.
select l.conversation::text, o.user_id::text as user, exists (
    select 1 from members x
    join members y on y.tenant = x.tenant and y.conversation = x.conversation and y.user_id = o.user_id
    join conversations c on c.tenant = x.tenant and c.id = x.conversation
    where x.tenant = $1 and x.user_id = $2 and c.kind <> 'match'
) as known
from (
    select b.tenant, b.match, b.created_at, b.ended_at, m.conversation
    from match_members b
    join matches m on m.tenant = b.tenant and m.id = b.match
    where b.tenant = $1 and b.user_id = $2
    order by b.created_at desc, b.match desc limit $4
) as l
join match_members o on o.tenant = l.tenant and o.match = l.match and o.user_id <> $2
where l.ended_at is null or l.ended_at > $3
order by l.created_at, l.match

-- name: met_ever
-- Of these users those whom somebody has ever met in a match, and by the last one; null: of the last thousand that they have blocked.
-- Known as above, who is left out: tenant, user, users.
select distinct on (o.user_id) m.conversation::text, o.user_id::text as user
from unnest(coalesce($3::uuid[], array(
    select k.blocked from blocks k where k.tenant = $1 and k.blocker = $2 order by k.created_at desc limit 1000
))) as a (id)
join match_members o on o.tenant = $1 and o.user_id = a.id and o.user_id <> $2
join match_members b on b.tenant = o.tenant and b.match = o.match and b.user_id = $2
join matches m on m.tenant = b.tenant and m.id = b.match
where not exists (
    select 1 from members x
    join members y on y.tenant = x.tenant and y.conversation = x.conversation and y.user_id = o.user_id
    join conversations c on c.tenant = x.tenant and c.id = x.conversation
    where x.tenant = $1 and x.user_id = $2 and c.kind <> 'match'
)
order by o.user_id, b.created_at desc, b.match desc

-- name: strangers
-- Whom these users do not know of the people of a match: all with whom they share no conversation that is no match.
-- Tenant, conversation of the match, users. It may end in this moment.
select a.id::text as viewer, o.user_id::text as user
from unnest($3::uuid[]) as a (id)
join (
    select b.user_id from members b where b.tenant = $1 and b.conversation = $2
    union
    select d.user_id from former_members d where d.tenant = $1 and d.conversation = $2
) as o on o.user_id <> a.id
where not exists (
    select 1 from members x
    join members y on y.tenant = x.tenant and y.conversation = x.conversation and y.user_id = o.user_id
    join conversations c on c.tenant = x.tenant and c.id = x.conversation
    where x.tenant = $1 and x.user_id = a.id and c.kind <> 'match'
)
