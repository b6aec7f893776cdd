-- name: add
-- Tenant, id, owner, length, metadata, now, time of expiry.
insert into resumable_uploads (tenant, id, owner, length, metadata, created_at, expires_at, sweep_at)
values ($1, $2, $3, $4, $5, $6, $7, $7)

-- name: count_open
-- Open uploads of a user, up to a limit: tenant, owner, limit.
select count(*) from (
    select 1 from resumable_uploads r where r.tenant = $1 and r.owner = $2 and r.state = 'open' limit $3
) as open_uploads

-- name: find
-- An upload of a user that has neither ended nor expired: tenant, id, owner, now.
select r.id::text, r.length, r.received, r.metadata, r.state, r.expires_at
from resumable_uploads r
where r.tenant = $1 and r.id = $2 and r.owner = $3 and r.state <> 'ended' and r.expires_at > $4

-- name: reserve_parts
-- Note blobs before they are written, if the upload is open and has fewer than a number of parts. No row otherwise:
-- tenant, upload, keys, sizes, maximum number.
with open_upload as (
    select r.tenant, r.id from resumable_uploads r
    where r.tenant = $1 and r.id = $2 and r.state = 'open'
        and (select count(*) from (select 1 from upload_parts p where p.tenant = $1 and p.upload = $2 limit $5) as parts) < $5
)
insert into upload_parts (tenant, upload, key, size)
select o.tenant, o.id, w.key, w.size from open_upload o, unnest($3::text[], $4::bigint[]) as w (key, size)
returning key

-- name: advance
-- Count bytes as received, from one position to another. No row if the position is another one: tenant, upload, position,
-- new position.
update resumable_uploads set received = $4
where tenant = $1 and id = $2 and state = 'open' and received = $3
returning id

-- name: place_parts
-- Make blobs parts of the file: tenant, upload, keys, positions.
update upload_parts p set start = w.start
from unnest($3::text[], $4::bigint[]) as w (key, start)
where p.tenant = $1 and p.upload = $2 and p.key = w.key

-- name: parts
-- The parts of a file, in their order: tenant, upload.
select p.key, p.size, p.start from upload_parts p where p.tenant = $1 and p.upload = $2 and p.start is not null order by p.start

-- name: finish
-- End an upload whose last bytes have arrived. No row if somebody else has: tenant, upload, position before them.
update resumable_uploads set state = 'done', received = length, sweep_at = 0
where tenant = $1 and id = $2 and state = 'open' and received = $3
returning id

-- name: release
-- Forget blobs that have become an upload: keys.
delete from upload_parts where key = any($1::text[])

-- name: terminate
-- End an open upload. No row if there is none: tenant, id, owner.
update resumable_uploads set state = 'ended', sweep_at = 0
where tenant = $1 and id = $2 and owner = $3 and state = 'open'
returning id

-- name: closed_parts
-- Blobs of an upload that is no longer open: tenant, upload.
select p.key from upload_parts p
join resumable_uploads r on r.tenant = p.tenant and r.id = p.upload
where p.tenant = $1 and p.upload = $2 and r.state <> 'open'

-- name: page_for_sweep
-- Uploads with which the sweep has something to do: now, limit.
select r.tenant, r.id::text from resumable_uploads r where r.sweep_at <= $1 order by r.sweep_at limit $2

-- name: expire
-- End an upload whose time is over: tenant, id, now.
update resumable_uploads set state = 'ended' where tenant = $1 and id = $2 and state = 'open' and expires_at <= $3

-- name: swept
-- Keep a closed upload without parts until it expires, because it counts towards the quota: tenant, id.
update resumable_uploads set sweep_at = expires_at where tenant = $1 and id = $2 and state <> 'open'

-- name: delete_old_rows
-- Delete closed uploads that have expired and have no parts: tenants, ids, now.
delete from resumable_uploads r using unnest($1::text[], $2::uuid[]) as w (tenant, id)
where r.tenant = w.tenant and r.id = w.id and r.expires_at <= $3 and r.state <> 'open'
    and not exists (select 1 from upload_parts p where p.tenant = r.tenant and p.upload = r.id)
