-- name: counts
-- The recipients of a message, which are the members at that time: tenant, conversation, seq, sender,
-- viewer.
select count(*) as members, count(*) filter (where b.read_seq >= $3) as read,
    count(*) filter (where b.delivered_seq >= $3 and b.read_seq < $3) as delivered
from members_for($1, $2, $5) as b
where b.joined_seq < $3 and b.user_id <> $4

-- name: page
-- The recipients to whom it was delivered, by id: tenant, conversation, seq, sender, viewer, after (null: from the
-- first), limit. In a match by their alias.
select p."user", p.name, p.read_seq >= $3 as has_read from (
    (
        select b.* from members_for($1, $2, $5) as b
        where b.joined_seq < $3 and b.user_id <> $4 and b.delivered_seq >= $3
            and b.alias is null and b.user_id > coalesce($6::uuid, '00000000-0000-0000-0000-000000000000')
        order by b.user_id limit $7
    )
    union all
    (
        select b.* from members_for($1, $2, $5) as b
        where b.joined_seq < $3 and b.user_id <> $4 and b.delivered_seq >= $3
            and b.alias > coalesce($6::uuid, '00000000-0000-0000-0000-000000000000')
        order by b.alias limit $7
    )
) as p
order by coalesce(p.alias, p.user_id)
