-- name: owner
-- The owner of a group, if it has one: tenant, conversation.
select b.user_id::text as user from members b where b.tenant = $1 and b.conversation = $2 and b.role = 'owner'
