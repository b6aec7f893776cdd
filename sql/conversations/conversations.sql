-- name: find_direct
-- The direct conversation of two users: tenant, the lower and the higher user id. `creator`: of one that is not
-- accepted yet. `is_withdrawn`: the creator has withdrawn the request.
select c.id::text, case when c.max_seq is not null then c.creator::text end as creator,
    exists (
        select 1 from contact_requests r
        where r.tenant = c.tenant and r.conversation = c.id and r.sender = c.creator and r.withdrawn_at is not null
    ) as is_withdrawn
from conversations c where c.tenant = $1 and c.pair_low = $2 and c.pair_high = $3

-- name: open_direct
-- Create the direct conversation of two users; no row if it exists: tenant, id, low, high, creator, now, its members,
-- the highest number of a message (null: no limit).
with new_conversation as (
    insert into conversations (
        tenant, id, kind, pair_low, pair_high, creator, rev, members, created_at, active_at, max_seq
    )
    values ($1, $2, 'direct', $3, $4, $5, cardinality($7::uuid[]), cardinality($7::uuid[]), $6, $6, $8)
    on conflict (pair_low, pair_high, tenant) do nothing
    returning tenant, id
),
new_members as (
    insert into members (tenant, conversation, user_id, joined_at, rev)
    select new_conversation.tenant, new_conversation.id, u.id, $6, u.rev
    from new_conversation cross join unnest($7::uuid[]) with ordinality as u (id, rev)
)
select id::text from new_conversation

-- name: create_group
-- Create a group with its members: tenant, id, title, creator, users, now.
with new_conversation as (
    insert into conversations (tenant, id, kind, title, creator, rev, members, created_at, active_at)
    values ($1, $2, 'group', $3, $4, cardinality($5::uuid[]), cardinality($5::uuid[]), $6, $6)
    returning tenant, id
)
insert into members (tenant, conversation, user_id, joined_at, rev, role)
select new_conversation.tenant, new_conversation.id, u.id, $6, u.rev, case when u.id = $4 then 'owner' else 'member' end
from new_conversation cross join unnest($5::uuid[]) with ordinality as u (id, rev)

-- name: has_erased_user
-- A row if one of these users is erased: tenant, users.
select 1 from users where tenant = $1 and id = any($2::uuid[]) and erased_at is not null limit 1
