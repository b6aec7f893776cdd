-- name: page
-- Requests that a user has not answered, those of later conversations first, except those of users whom the user has
-- blocked: tenant, user, before this conversation (null: from the last), limit.
select r.conversation::text, c.kind, r.sender::text as user, p.name, r.created_at, c.title, c.picture::text, c.members as member_count
from contact_requests r
join conversations c on c.tenant = r.tenant and c.id = r.conversation
join users p on p.tenant = r.tenant and p.id = r.sender
where r.tenant = $1 and r.user_id = $2 and r.is_pending
    and not exists (select 1 from blocks b where b.tenant = r.tenant and b.blocker = r.user_id and b.blocked_as = r.sender)
    and r.conversation < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by r.conversation desc limit $4

-- name: declined
-- The same for requests that the user has declined.
select r.conversation::text, c.kind, r.sender::text as user, p.name, r.created_at, c.title, c.picture::text, c.members as member_count
from contact_requests r
join conversations c on c.tenant = r.tenant and c.id = r.conversation
join users p on p.tenant = r.tenant and p.id = r.sender
where r.tenant = $1 and r.user_id = $2 and r.declined_at is not null and r.withdrawn_at is null
    and not exists (select 1 from blocks b where b.tenant = r.tenant and b.blocker = r.user_id and b.blocked_as = r.sender)
    and r.conversation < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by r.conversation desc limit $4

-- name: messages
-- The messages of direct conversations that a user was asked to accept: tenant, conversations, maximum of each.
select w.id::text as conversation_id, f.*
from unnest($2::uuid[]) as w (id)
cross join lateral (
    select s.* from message_states s
    where s.tenant = $1 and s.conversation = w.id
    order by s.seq limit $3
) as f
order by f.seq

-- name: request
-- A request to a user, under the lock of its conversation: tenant, conversation, user.
select r.sender::text, r.is_pending, r.withdrawn_at is not null as is_withdrawn
from contact_requests r where r.tenant = $1 and r.conversation = $2 and r.user_id = $3

-- name: decline
-- Decline a request, and count that for its sender: tenant, conversation, user, now.
with declined as (
    update contact_requests set declined_at = $4
    where tenant = $1 and conversation = $2 and user_id = $3 and is_pending
    returning sender
),
touched as (
    insert into user_settings (tenant, user_id) select $1, $3 from declined
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
)
insert into request_senders (tenant, user_id, score, scored_at)
select $1, sender, 1, $4 from declined
on conflict (user_id, tenant) do update
set score = decayed_score(request_senders.score, request_senders.scored_at, $4) + 1, scored_at = $4
returning user_id

-- name: withdraw
-- Withdraw a request, declined or not. Returns whether the user could still see it; no row if there is none: tenant,
-- conversation, user, now.
with old as (
    select r.is_pending from contact_requests r where r.tenant = $1 and r.conversation = $2 and r.user_id = $3
),
withdrawn as (
    update contact_requests set withdrawn_at = $4
    where tenant = $1 and conversation = $2 and user_id = $3 and withdrawn_at is null
),
touched as (
    insert into user_settings (tenant, user_id) select $1, $3 from old where is_pending
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
)
select is_pending from old

-- name: invited
-- Users who were asked to join, by id: tenant, conversation, after this one (null: from the first), limit.
select r.user_id::text as user, p.name, r.sender::text as by, r.created_at from contact_requests r
join users p on p.tenant = r.tenant and p.id = r.user_id
where r.tenant = $1 and r.conversation = $2 and r.withdrawn_at is null
    and r.user_id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
order by r.user_id limit $4
