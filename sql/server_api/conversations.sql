-- name: create_group
-- Create a group with its members; no row if the id exists: tenant, id, title, owner (null: none), users, now, external
-- id (null: none), joining.
with new_conversation as (
    insert into conversations (tenant, id, kind, title, creator, rev, members, created_at, active_at, external_id, joining)
    values ($1, $2, 'group', $3, $4::uuid, cardinality($5::uuid[]), cardinality($5::uuid[]), $6, $6, $7, $8)
    on conflict do nothing
    returning tenant, id
),
new_members as (
    insert into members (tenant, conversation, user_id, joined_at, rev, role)
    select c.tenant, c.id, u.id, $6, u.rev, case when u.id = $4::uuid then 'owner' else 'member' end
    from new_conversation c cross join unnest($5::uuid[]) with ordinality as u (id, rev)
)
select id::text from new_conversation

-- name: by_external_id
-- Tenant, external id.
select c.id::text, c.kind from conversations c where c.tenant = $1 and c.external_id = $2

-- name: find_direct
-- The direct conversation of two users: tenant, the lower and the higher user id. `requested`: the user who has not
-- accepted it yet.
select c.id::text, case when c.max_seq is not null then (
    case when c.creator = c.pair_low then c.pair_high else c.pair_low end
)::text end as requested
from conversations c where c.tenant = $1 and c.pair_low = $2 and c.pair_high = $3

-- name: set_external_id
-- Tenant, conversation, external id.
update conversations set external_id = $3 where tenant = $1 and id = $2
