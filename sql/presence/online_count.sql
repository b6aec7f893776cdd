-- name: page_members
-- Members of a conversation by id: tenant, conversation, default audience of presence, after (null: from the first),
-- limit. `visible_to_all`: all users may see the presence of this member.
select b.user_id::text as user, b.alias::text, coalesce(s.show_presence, $3) = 'everybody' as visible_to_all
from members b
left join user_settings s on s.tenant = b.tenant and s.user_id = b.user_id
where b.tenant = $1 and b.conversation = $2 and b.user_id > coalesce($4::uuid, '00000000-0000-0000-0000-000000000000')
order by b.user_id limit $5

-- name: count_members
-- Tenant, conversation.
select members from conversations where tenant = $1 and id = $2
