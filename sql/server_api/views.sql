-- name: conversations
-- Conversations without the fields of one member: tenant, ids.
select c.id::text, c.kind, c.title, c.description, c.picture::text as picture, c.announce, c.disappear, c.keep_days, c.slow_seconds,
    c.joining, c.history, c.members as member_count, c.seq, c.rev, c.created_at, c.external_id,
    case when c.max_seq is not null then (case when c.creator = c.pair_low then c.pair_high else c.pair_low end)::text end as requested
from conversations c where c.tenant = $1 and c.id = any($2::uuid[])

-- name: members
-- Members by id, as members see them: tenant, conversation, after (null: from the first), limit. In a match by their
-- alias.
select * from (
    (
        select b.* from members_for($1, $2, null) as b
        where b.alias is null and b.user_id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
        order by b.user_id limit $4
    )
    union all
    (
        select b.* from members_for($1, $2, null) as b
        where b.alias > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
        order by b.alias limit $4
    )
) as p
order by coalesce(p.alias, p.user_id)
