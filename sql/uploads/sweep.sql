-- name: sweep_addresses
-- Delete hours that no longer count. Returns their number: oldest hour to keep, limit.
with deleted as (
    delete from address_uploads
    where ctid = any(array(select o.ctid from address_uploads o where o.hour < $1 order by o.hour limit $2)) returning 1
)
select count(*) from deleted

-- name: page_for_sweep
-- A page of all uploads, and what to do with each: position (id, tenant), oldest time for unused ones, limit, now,
-- oldest time of deletion for rows to keep. `offset 0`: one look-up for each upload, never a join with the other table.
-- `bytes_remain`: deleted, but its bytes may exist, and no report needs them. `unused`: old, and nothing uses it.
-- `row_expired`: deleted long ago, and no report needs the row.
with page as (
    select tenant, id, owner, key, created_at, removed_at from uploads where (id, tenant) > ($1::uuid, $2) order by id, tenant limit $4
)
select
    p.tenant, p.id::text, p.key,
    p.removed_at is not null and p.key not like 'deleted:%' and not is_evidence(p.tenant, p.id, $5) as bytes_remain,
    p.removed_at is null and p.created_at < $3
        and not exists (select 1 from upload_uses x where x.tenant = p.tenant and x.upload = p.id offset 0)
        and not exists (select 1 from scheduled_uploads x where x.tenant = p.tenant and x.upload = p.id offset 0)
        and not exists (select 1 from draft_uploads x where x.tenant = p.tenant and x.upload = p.id offset 0)
        and not exists (select 1 from reports r where r.tenant = p.tenant and r.picture = p.id offset 0)
        and not exists (select 1 from users a where a.tenant = p.tenant and a.id = p.owner and a.avatar = p.id offset 0)
        and not is_evidence(p.tenant, p.id, $5) as unused,
    p.removed_at < $6 and p.key like 'deleted:%' and not is_evidence(p.tenant, p.id, $5)
        and not exists (select 1 from reports r where r.tenant = p.tenant and r.picture = p.id offset 0) as row_expired
from page p
order by p.id, p.tenant

-- name: delete_old_rows
-- Delete rows of uploads that were deleted long ago: tenants, ids.
delete from uploads u using unnest($1::text[], $2::uuid[]) as w (tenant, id)
where w.tenant = u.tenant and w.id = u.id and u.key like 'deleted:%'

-- name: lock_unused
-- Lock unused uploads, except those that a transaction is about to use and has locked: tenants, ids.
select u.tenant, u.id::text
from uploads u
join unnest($1::text[], $2::uuid[]) as w (tenant, id) on w.tenant = u.tenant and w.id = u.id
where u.removed_at is null
for update of u skip locked

-- name: claim_unused
-- Mark locked uploads as deleted if nothing uses them: tenants, ids, now.
update uploads u set removed_at = $3
from unnest($1::text[], $2::uuid[]) as w (tenant, id)
where w.tenant = u.tenant and w.id = u.id
    and not exists (select 1 from upload_uses x where x.tenant = u.tenant and x.upload = u.id)
    and not exists (select 1 from scheduled_uploads x where x.tenant = u.tenant and x.upload = u.id)
    and not exists (select 1 from draft_uploads x where x.tenant = u.tenant and x.upload = u.id)
    and not exists (select 1 from reports r where r.tenant = u.tenant and r.picture = u.id)
    and not exists (select 1 from users a where a.tenant = u.tenant and a.id = u.owner and a.avatar = u.id)
    and not is_evidence(u.tenant, u.id, $3)
returning u.tenant, u.id::text, u.key
