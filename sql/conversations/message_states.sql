-- name: by_id
-- A message as all members see it, for a user who has received it: tenant, conversation, message, first visible seq.
select s.* from message_states s
join messages m on m.tenant = s.tenant and m.conversation = s.conversation and m.seq = s.seq
where m.tenant = $1 and m.conversation = $2 and m.id = $3 and m.seq >= $4
