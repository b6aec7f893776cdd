-- name: block
-- Block somebody, and close the direct conversation of the two: tenant, blocker, blocked, now. No row for who is blocked already.
with made as (
    insert into blocks (tenant, blocker, blocked, created_at) values ($1, $2, $3, $4)
    on conflict (blocker, blocked, tenant) do nothing
    returning blocked
),
noted as (
    insert into user_settings (tenant, user_id) select $1, $2 from made
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
),
closed as (
    update conversations c set blocked = true, changed = pg_current_xact_id()
    from made
    where c.tenant = $1 and c.pair_low = least($2::uuid, $3::uuid) and c.pair_high = greatest($2::uuid, $3::uuid)
    returning c.id
)
select made.blocked::text, (select id::text from closed) as conversation from made

-- name: unblock
-- The conversation opens again, unless the other one has blocked as well: tenant, blocker, blocked. No row when nothing was blocked.
with gone as (
    delete from blocks where tenant = $1 and blocker = $2 and blocked = $3
    returning blocked
),
noted as (
    insert into user_settings (tenant, user_id) select $1, $2 from gone
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
),
opened as (
    update conversations c
    set blocked = exists (select 1 from blocks b where b.tenant = $1 and b.blocker = $3 and b.blocked = $2),
        changed = pg_current_xact_id()
    from gone
    where c.tenant = $1 and c.pair_low = least($2::uuid, $3::uuid) and c.pair_high = greatest($2::uuid, $3::uuid)
    returning c.id, c.blocked
)
select gone.blocked::text, (select id::text from opened where not blocked) as conversation from gone

-- name: page
-- Whom a user has blocked, by id: tenant, user, after this one (null: from the first), limit.
select b.blocked::text as user, p.name, b.created_at from blocks b
join users p on p.tenant = b.tenant and p.id = b.blocked
where b.tenant = $1 and b.blocker = $2 and b.blocked > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
order by b.blocked limit $4
