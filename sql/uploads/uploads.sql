-- name: lock_owner
-- Uploads of a user are added one at a time: tenant, user.
select 1 from users where tenant = $1 and id = $2 for no key update

-- name: quota_usage
-- Bytes that count towards the quotas: of a user, with deleted uploads, and of all anonymous accounts of an address (0
-- for other accounts): tenant, user, time, address hash, hour.
select
    (select coalesce(sum(x.size), 0) from uploads x where x.tenant = $1 and x.owner = $2 and x.created_at > $3)::bigint as by_user,
    (
        select coalesce(sum(a.bytes), 0) from address_uploads a where u.anonymous and a.address_hash = $4::bytea and a.hour >= $5
    )::bigint as by_address
from users u where u.tenant = $1 and u.id = $2

-- name: charge_address
-- Add bytes to what anonymous accounts uploaded from an address: tenant, user, address hash, hour, bytes.
insert into address_uploads (address_hash, hour, bytes)
select $3, $4, $5 from users u where u.tenant = $1 and u.id = $2 and u.anonymous
on conflict (address_hash, hour) do update set bytes = address_uploads.bytes + excluded.bytes

-- name: sweep_addresses
-- Delete hours that no longer count. Returns their number: oldest hour to keep, limit.
with deleted as (
    delete from address_uploads
    where ctid = any(array(select o.ctid from address_uploads o where o.hour < $1 order by o.hour limit $2)) returning 1
)
select count(*) from deleted

-- name: add
-- Tenant, id, owner, key, mime, size, SHA-256, name, width, height, now.
insert into uploads (tenant, id, owner, key, mime, size, sha256, name, width, height, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: delete_unwritten
-- Delete the row of a file that could not be written: tenant, id.
delete from uploads where tenant = $1 and id = $2

-- name: readable_file
-- A file that the user can read, as its owner, as the avatar of its owner, or as a member of a conversation with an
-- unexpired message that uses it: tenant, id, user.
select u.key, u.mime, u.size, encode(u.sha256, 'hex') as sha256, u.name
from uploads u
where u.tenant = $1 and u.id = $2 and u.removed_at is null
    and (
        u.owner = $3
        or exists (select 1 from users p where p.tenant = u.tenant and p.id = u.owner and p.avatar = u.id)
        or exists (
            select 1 from upload_uses x
            join members b on b.tenant = x.tenant and b.conversation = x.conversation
            where x.tenant = u.tenant and x.upload = u.id and b.user_id = $3 and (x.seq = 0 or x.seq >= b.first_seq)
                and not exists (
                    select 1 from messages m
                    where m.tenant = x.tenant and m.conversation = x.conversation and m.seq = x.seq and m.expires_at <= now_ms()
                )
        )
    )

-- name: mark_deleted
-- Mark an upload as deleted: it can no longer be read. No row if there is none. The bytes of an upload that messages
-- use are kept for reports until a time: tenant, id, owner, now, that time.
with removed as (
    update uploads set removed_at = $4 where tenant = $1 and id = $2 and owner = $3 and removed_at is null returning tenant, id, key
),
withheld as (
    insert into withheld_uploads (tenant, upload, until)
    select removed.tenant, removed.id, $5::bigint from removed
    where $5 > $4 and exists (select 1 from upload_uses x where x.tenant = removed.tenant and x.upload = removed.id and x.seq > 0)
    on conflict (upload, tenant) do update set until = greatest(withheld_uploads.until, excluded.until)
    returning upload
)
select removed.key, exists (select 1 from withheld) or is_evidence(removed.tenant, removed.id, $4) as is_evidence from removed

-- name: set_bytes_deleted
-- Record that the bytes are deleted, by replacing the key: tenant, id.
update uploads set key = 'deleted:' || tenant || ':' || id where tenant = $1 and id = $2

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
    and not exists (select 1 from reports r where r.tenant = u.tenant and r.picture = u.id)
    and not exists (select 1 from users a where a.tenant = u.tenant and a.id = u.owner and a.avatar = u.id)
    and not is_evidence(u.tenant, u.id, $3)
returning u.tenant, u.id::text, u.key
