-- name: add
-- Tenant, blocker, blocked, the id by which they are blocked, now.
insert into blocks (tenant, blocker, blocked, blocked_as, created_at) values ($1, $2, $3, $4, $5)
on conflict (blocker, blocked_as, tenant) do nothing
returning blocked

-- name: remove
-- Tenant, blocker, the id by which the user was blocked.
delete from blocks where tenant = $1 and blocker = $2 and blocked_as = $3 returning blocked

-- name: lock_user
-- Blocks of a user are added one at a time, so that their count is exact: tenant, user.
select 1 from users where tenant = $1 and id = $2 for no key update

-- name: count
-- Tenant, blocker.
select count(*) from blocks where tenant = $1 and blocker = $2

-- name: touch_user_settings
-- Mark the settings of a user as changed, for session.sync: tenant, user.
insert into user_settings (tenant, user_id) values ($1, $2)
on conflict (user_id, tenant) do update set changed = pg_current_xact_id()

-- name: decline_requests
-- Decline the requests of a user to another one, who has blocked them, and count it for the sender: tenant, blocker,
-- sender, now.
with declined as (
    update contact_requests set declined_at = $4
    where tenant = $1 and user_id = $2 and sender = $3 and declined_at is null
    returning sender
)
insert into request_senders (tenant, user_id, score, scored_at)
select $1, $3, count(*), $4 from declined having count(*) > 0
on conflict (user_id, tenant) do update
set score = decayed_score(request_senders.score, request_senders.scored_at, $4) + excluded.score, scored_at = $4

-- name: lock_direct_conversation
-- Lock the direct conversation of two users: it may be accepted at the same time. Tenant, two users.
select 1 from conversations c
where c.tenant = $1 and c.pair_low = least($2::uuid, $3::uuid) and c.pair_high = greatest($2::uuid, $3::uuid)
for no key update

-- name: update_direct_conversation
-- Mark the locked direct conversation of two users as blocked if one of them has blocked the other by user id, else as
-- not blocked. If it is not accepted yet, a block by the user who has to accept it does not show, and changes nothing
-- that the creator synchronises: tenant, the user whose blocks have changed, the other user.
update conversations c
set blocked = exists (select 1 from blocks b where b.tenant = $1 and b.blocker = $2 and b.blocked_as = $3) or (
        c.max_seq is null and exists (select 1 from blocks b where b.tenant = $1 and b.blocker = $3 and b.blocked_as = $2)
    ),
    changed = pg_current_xact_id()
where c.tenant = $1 and c.pair_low = least($2::uuid, $3::uuid) and c.pair_high = greatest($2::uuid, $3::uuid)
    and (c.max_seq is null or c.creator = $2)
returning c.id::text, c.blocked

-- name: page
-- The users that a user has blocked, by the id of the block: tenant, user, after this one (null: from the first),
-- limit. The name of an alias is null, because a later name would identify the user.
select b.blocked_as::text as user, p.name, b.created_at from blocks b
left join users p on p.tenant = b.tenant and p.id = b.blocked_as
where b.tenant = $1 and b.blocker = $2 and b.blocked_as > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
order by b.blocked_as limit $4
