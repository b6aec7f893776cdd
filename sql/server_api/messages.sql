-- name: is_member
-- A row if the user is a member: tenant, conversation, user.
select 1 from members b where b.conversation = $2 and b.user_id = $3 and b.tenant = $1
