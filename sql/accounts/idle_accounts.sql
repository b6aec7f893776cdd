-- name: page_anonymous
-- Anonymous accounts by age, and whether each is idle: no login can be renewed, and the user has no message,
-- membership, running match, upload, report, strike or ban. `offset 0`: one look-up for each account, never a join with
-- the other table. Created before, position (created_at, id), limit.
select u.tenant, u.id::text, u.created_at, not exists (
        select 1 from logins l join refresh_tokens t on t.tenant = l.tenant and t.login = l.id
        where l.tenant = u.tenant and l.user_id = u.id and l.ended_at is null and t.used_at is null and t.expires_at > now_ms()
        offset 0
    )
    and not exists (select 1 from messages m where m.tenant = u.tenant and m.sender = u.id offset 0)
    and not exists (select 1 from members b where b.tenant = u.tenant and b.user_id = u.id offset 0)
    and not exists (select 1 from match_members b where b.tenant = u.tenant and b.user_id = u.id and b.ended_at is null offset 0)
    and not exists (select 1 from uploads f where f.tenant = u.tenant and f.owner = u.id offset 0)
    and not exists (select 1 from bans b where b.tenant = u.tenant and b.user_id = u.id offset 0)
    and not exists (select 1 from strikes s where s.tenant = u.tenant and s.user_id = u.id offset 0)
    and not exists (select 1 from reports r where r.tenant = u.tenant and r.reporter = u.id offset 0)
    and not exists (select 1 from reports r where r.tenant = u.tenant and r.target = u.id offset 0) as is_idle
from users u
where u.anonymous and u.erased_at is null and u.created_at < $1 and (u.created_at, u.id) > ($2::bigint, $3::uuid)
order by u.created_at, u.id limit $4

-- name: delete_accounts
-- Delete accounts with all their private data: tenants, ids.
delete from users u using unnest($1::text[], $2::uuid[]) as a (tenant, id) where u.tenant = a.tenant and u.id = a.id

-- name: sweep_invites
-- Delete links that are revoked, used up or expired. Returns their number: limit.
with deleted as (
    delete from invites i where i.ctid = any(
        array(
            select o.ctid from (
                (select v.ctid from invites v where v.revoked_at <= now_ms() order by v.revoked_at limit $1)
                union (select v.ctid from invites v where v.uses_left = 0 limit $1)
                union (select v.ctid from invites v where v.expires_at <= now_ms() order by v.expires_at limit $1)
            ) as o limit $1
        )
    )
    returning 1
)
select count(*) from deleted
