-- name: export
-- Metadata of uploads: tenant, user, limit, after.
select u.id::text as upload, u.name, u.mime, u.size, encode(u.sha256, 'hex') as sha256, u.width, u.height,
    u.duration_ms, encode(u.placeholder, 'base64') as placeholder, encode(u.waveform, 'hex') as waveform, u.created_at, u.removed_at
from uploads u
where u.tenant = $1 and u.owner = $2 and u.id > $4::uuid
order by u.id limit $3

-- name: release
-- Mark uploads as deleted, and remove what describes them, also of those that the user had deleted; the sweep of uploads
-- deletes the bytes. Returns the number of uploads: tenant, user, now, limit.
with batch as (
    select u.id from uploads u
    where u.tenant = $1 and u.owner = $2
        and (u.removed_at is null or u.name is not null or u.placeholder is not null or u.waveform is not null) limit $4
    for update
),
deleted_uses as (
    delete from upload_uses x using batch where x.tenant = $1 and x.upload = batch.id
),
marked as (
    update uploads u set removed_at = coalesce(u.removed_at, $3), name = null, placeholder = null, waveform = null from batch where u.tenant = $1 and u.id = batch.id
    returning 1
)
select count(*) from marked

-- name: export_unfinished
-- Uploads in parts that are not finished: tenant, user, limit, after.
select r.id::text as upload, r.metadata, r.length, r.received, r.state, r.created_at
from resumable_uploads r
where r.tenant = $1 and r.owner = $2 and r.id > $4::uuid
order by r.id limit $3

-- name: end_unfinished
-- End uploads in parts; the sweep of uploads deletes the parts. Returns the number of uploads: tenant, user, limit.
with batch as (
    select r.id from resumable_uploads r
    where r.tenant = $1 and r.owner = $2 and (r.state = 'open' or r.metadata <> '') limit $3
    for update
),
ended as (
    update resumable_uploads r set state = case r.state when 'open' then 'ended' else r.state end, metadata = '', sweep_at = 0
    from batch where r.tenant = $1 and r.id = batch.id
    returning 1
)
select count(*) from ended
