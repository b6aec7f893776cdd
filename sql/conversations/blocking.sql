-- name: add
-- Tenant, blocker, blocked, now.
insert into blocks (tenant, blocker, blocked, created_at) values ($1, $2, $3, $4) on conflict (blocker, blocked, tenant) do nothing
returning blocked

-- name: remove
-- Tenant, blocker, blocked.
delete from blocks where tenant = $1 and blocker = $2 and blocked = $3 returning blocked

-- name: lock
-- One block of a user after the other, so that they can be counted: tenant, user.
select 1 from users where tenant = $1 and id = $2 for no key update

-- name: count
-- Tenant, blocker.
select count(*) from blocks where tenant = $1 and blocker = $2

-- name: note
-- What somebody has set for themselves has changed: tenant, user.
insert into user_settings (tenant, user_id) values ($1, $2)
on conflict (user_id, tenant) do update set changed = pg_current_xact_id()

-- name: settle
-- The direct conversation of two is closed as long as one of them has blocked the other: tenant, two users.
update conversations c
set blocked = exists (select 1 from blocks b where b.tenant = $1 and b.blocker = $2 and b.blocked = $3)
        or exists (select 1 from blocks b where b.tenant = $1 and b.blocker = $3 and b.blocked = $2),
    changed = pg_current_xact_id()
where c.tenant = $1 and c.pair_low = least($2::uuid, $3::uuid) and c.pair_high = greatest($2::uuid, $3::uuid)
returning c.id::text, c.blocked

-- name: page
-- Whom a user has blocked, by id: tenant, user, after this one (null: from the first), limit.
select b.blocked::text as user, p.name, b.created_at from blocks b
join users p on p.tenant = b.tenant and p.id = b.blocked
where b.tenant = $1 and b.blocker = $2 and b.blocked > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
order by b.blocked limit $4
