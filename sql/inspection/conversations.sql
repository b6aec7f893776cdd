-- name: page
-- Conversations in the order of their ids, the highest first: tenant, before this one (null: all), limit.
select c.id::text as conversation, c.kind, c.title, c.creator::text, c.members, c.seq as messages, c.created_at, c.active_at
from conversations c
where c.tenant = $1 and c.id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by c.id desc limit $3

-- name: page_of_user
-- The same of the conversations of a user: tenant, before this one (null: all), limit, user.
select c.id::text as conversation, c.kind, c.title, c.creator::text, c.members, c.seq as messages, c.created_at, c.active_at
from members b join conversations c on c.tenant = b.tenant and c.id = b.conversation
where b.tenant = $1 and b.user_id = $4 and b.conversation < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by b.conversation desc limit $3

-- name: get
-- Tenant, conversation.
select c.id::text as conversation, c.kind, c.title, c.creator::text, c.members, c.seq as messages, c.created_at, c.active_at,
    c.description, c.external_id, c.joining, c.disappear as disappear_s, c.keep_days
from conversations c where c.tenant = $1 and c.id = $2

-- name: members
-- The members by their user ids, also in a match: tenant, conversation, limit.
select b.user_id::text as user, u.name, b.role, b.joined_at, b.delivered_seq, b.read_seq
from members b join users u on u.tenant = b.tenant and u.id = b.user_id
where b.tenant = $1 and b.conversation = $2 order by b.user_id limit $3

-- name: messages
-- Messages before a seq, newest first: tenant, conversation, seq (null: the end), limit.
select s.* from message_states s
where s.tenant = $1 and s.conversation = $2 and s.seq < coalesce($3::bigint, 9223372036854775807)
order by s.seq desc limit $4
