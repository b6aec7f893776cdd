-- name: is_member
-- A row if the user is a member of the conversation.
select 1 from members where tenant = $1 and conversation = $2 and user_id = $3
