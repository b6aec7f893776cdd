-- name: original
-- A message that the user can see: tenant, conversation, user, message.
select f.sender, m.sender::text as author, f.text, f.attachments, f.created_at, f.deleted_at, f.system, f.forwarded
from messages m
cross join lateral messages_for($1, $2, $3) as f
where m.tenant = $1 and m.conversation = $2 and m.id = $4 and f.seq = m.seq and f.concealed is not true
