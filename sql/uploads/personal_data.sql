-- name: export
-- Metadata of uploads: tenant, user, limit, after.
select u.id::text as upload, u.name, u.mime, u.size, encode(u.sha256, 'hex') as sha256, u.width, u.height, u.created_at, u.removed_at
from uploads u
where u.tenant = $1 and u.owner = $2 and u.id > $4::uuid
order by u.id limit $3

-- name: release
-- Mark uploads as deleted; the sweep of uploads deletes the bytes. Their number: tenant, user, now, limit.
with chosen as (
    select u.id from uploads u where u.tenant = $1 and u.owner = $2 and u.removed_at is null limit $4
    for update
),
used as (
    delete from upload_uses x using chosen where x.tenant = $1 and x.upload = chosen.id
),
gone as (
    update uploads u set removed_at = $3, name = null from chosen where u.tenant = $1 and u.id = chosen.id
    returning 1
)
select count(*) from gone
