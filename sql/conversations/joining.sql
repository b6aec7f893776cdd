-- name: use_invite
-- Use a link of a locked conversation: tenant, conversation, hash of the secret, now.
update invites set uses_left = uses_left - 1
where tenant = $1 and conversation = $2 and secret_hash = $3 and revoked_at is null and (uses_left is null or uses_left > 0)
    and (expires_at is null or expires_at > $4)
returning id

-- name: was_removed
-- Whether another user has ended this user's membership: tenant, conversation, user.
select 1 from former_members where tenant = $1 and conversation = $2 and user_id = $3 and actor <> user_id

-- name: put_request
-- Add a request to join: tenant, conversation, user, text, now.
insert into join_requests (tenant, conversation, user_id, text, created_at) values ($1, $2, $3, $4, $5)
on conflict (conversation, user_id, tenant) do update set text = $4
returning xmax = 0 as is_new

-- name: requests
-- Requests to join, the earliest first: tenant, conversation, limit.
select r.user_id::text as user, p.name, r.text, r.created_at
from join_requests r
join users p on p.tenant = r.tenant and p.id = r.user_id
where r.tenant = $1 and r.conversation = $2
order by r.created_at, r.user_id limit $3

-- name: count_requests
-- Tenant, conversation.
select count(*) as found from join_requests where tenant = $1 and conversation = $2

-- name: count_other_requests
-- The number of requests of a user to join other groups: tenant, conversation, user.
select count(*) as found from join_requests where tenant = $1 and user_id = $3 and conversation <> $2

-- name: delete_request
-- Tenant, conversation, user.
delete from join_requests where tenant = $1 and conversation = $2 and user_id = $3 returning user_id

-- name: some_approvers
-- Some of the members who may answer a request: tenant, conversation.
select b.user_id::text as user from members b
where b.tenant = $1 and b.conversation = $2 and b.role in ('owner', 'admin') limit 50
