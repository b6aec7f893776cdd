-- name: dissolve
-- End all memberships: tenant, conversation, rev, seq, now, actor. All share one rev, because no member is left to
-- sync.
with removed as (
    delete from members where tenant = $1 and conversation = $2
    returning tenant, conversation, user_id, visible_seqs(members, $4) as visible_seqs
),
new_former_members as (
    insert into former_members (tenant, conversation, user_id, rev, seq, left_at, actor, visible_seqs)
    select tenant, conversation, user_id, $3, $4, $5, $6, visible_seqs from removed
    on conflict (conversation, user_id, tenant)
    do update set rev = $3, seq = $4, left_at = $5, actor = $6, visible_seqs = excluded.visible_seqs, changed = pg_current_xact_id()
)
select user_id::text as user from removed

-- name: page
-- Members by id, as a user sees them: tenant, conversation, user, after (null: from the first), limit.
-- In a match by their alias.
select * from (
    (
        select b.* from members_for($1, $2, $3) as b
        where b.alias is null and b.user_id > coalesce($4::uuid, '00000000-0000-0000-0000-000000000000')
        order by b.user_id limit $5
    )
    union all
    (
        select b.* from members_for($1, $2, $3) as b
        where b.alias > coalesce($4::uuid, '00000000-0000-0000-0000-000000000000')
        order by b.alias limit $5
    )
) as p
order by coalesce(p.alias, p.user_id)

-- name: has_person
-- A row if one of these users is not a bot: tenant, conversation, users.
select 1 from unnest($3::uuid[]) as w (id)
where $2::uuid is not null and not exists (select 1 from users u where u.id = w.id and u.tenant = $1 and u.bot)
limit 1
