-- name: by_id
-- A message as everybody sees it, for who has seen it already: tenant, conversation, message, first seq that may be seen. `author` is a user id.
select s.*, m.sender::text as author from message_states s
join messages m on m.tenant = s.tenant and m.conversation = s.conversation and m.seq = s.seq
where m.tenant = $1 and m.conversation = $2 and m.id = $3 and m.seq >= $4
