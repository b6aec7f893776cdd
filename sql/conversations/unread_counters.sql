-- name: own_conversations
-- Conversations, each as one member sees it: tenants, users, conversations, all pairwise.
select v.*, v.user_id::text as reader
from unnest($1::text[], $2::uuid[], $3::uuid[]) as w (tenant, user_id, conversation)
join own_conversations v on v.tenant = w.tenant and v.user_id = w.user_id and v.conversation = w.conversation
