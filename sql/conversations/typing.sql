-- name: count_and_aliases
-- How many members a conversation has, and the aliases of all by user in a match; no row for a user who is not a
-- member: tenant, conversation, user.
select c.members, case when b.alias is not null then (
    select jsonb_object_agg(o.user_id, o.alias) from members o where o.tenant = b.tenant and o.conversation = b.conversation
) end as aliases
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation
where b.tenant = $1 and b.conversation = $2 and b.user_id = $3
