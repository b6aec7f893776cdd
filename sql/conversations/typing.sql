-- name: members
-- How many members a conversation has; null for who is none of them: tenant, conversation, user.
select c.members from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation
where b.tenant = $1 and b.conversation = $2 and b.user_id = $3
