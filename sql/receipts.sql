-- name: counts
-- Those whom a message was for, that is members who were there already: tenant, conversation, seq, sender.
select count(*) as members, count(*) filter (where b.read_seq >= $3) as read,
    count(*) filter (where b.delivered_seq >= $3 and b.read_seq < $3) as delivered
from members b
where b.tenant = $1 and b.conversation = $2 and b.joined_seq < $3 and b.user_id <> $4

-- name: page
-- Those of them who have received it, by their id: tenant, conversation, seq, sender, after this user (null: from the first), limit.
select b.user_id::text as user, p.name, b.read_seq >= $3 as has_read
from members b
join users p on p.tenant = b.tenant and p.id = b.user_id
where b.tenant = $1 and b.conversation = $2 and b.joined_seq < $3 and b.user_id <> $4 and b.delivered_seq >= $3
    and b.user_id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
order by b.user_id limit $6
