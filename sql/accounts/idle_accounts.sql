-- name: idle
-- Anonymous accounts that were made before a time, have no login that can be renewed, and have left no trace: they have written nothing, are
-- in no conversation and were in none that goes on, hold no file, and were neither reported nor punished.
-- `offset 0`: one look-up for each account, never all rows of the other table. Position (created_at, id), limit.
select u.tenant, u.id::text, u.created_at, not exists (
        select 1 from logins l join refresh_tokens t on t.tenant = l.tenant and t.login = l.id
        where l.tenant = u.tenant and l.user_id = u.id and l.ended_at is null and t.used_at is null and t.expires_at > millis()
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

-- name: remove
-- Accounts, with all that was theirs alone: tenants, ids.
delete from users u using unnest($1::text[], $2::uuid[]) as a (tenant, id) where u.tenant = a.tenant and u.id = a.id

-- name: old_invites
-- Links that are revoked, used up or over; how many went: limit.
with gone as (
    delete from invites i where i.ctid = any(
        array(
            select o.ctid from (
                (select v.ctid from invites v where v.revoked_at <= millis() order by v.revoked_at limit $1)
                union (select v.ctid from invites v where v.uses_left = 0 limit $1)
                union (select v.ctid from invites v where v.expires_at <= millis() order by v.expires_at limit $1)
            ) as o limit $1
        )
    )
    returning 1
)
select count(*) from gone
