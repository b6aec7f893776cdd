-- name: add
-- Tenant, id, owner, key, mime, size, SHA-256, name, width, height, duration, placeholder, waveform, size of the
-- thumbnail, now.
insert into uploads (
    tenant, id, owner, key, mime, size, sha256, name, width, height, duration_ms, placeholder, waveform, thumbnail_size, created_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)

-- name: mark_unwritten
-- Mark an upload as deleted whose bytes could not be written, or only some of them; the sweep deletes those. It counts
-- for no quota: tenant, id.
update uploads set removed_at = created_at, size = 0, name = null, thumbnail_size = null where tenant = $1 and id = $2

-- name: readable_files
-- Those of these files that the user can read, as their owner, as the avatar of their owner, or as a member of a
-- conversation with an unexpired message that uses them and that they may see: tenant, ids, user.
select
    u.id::text, u.key, u.mime, u.size, encode(u.sha256, 'hex') as sha256, u.name, u.width, u.height, u.duration_ms,
    u.placeholder, u.waveform, u.thumbnail_size, u.created_at
from uploads u
where u.tenant = $1 and u.id = any($2::uuid[]) and u.removed_at is null
    and (
        u.owner = $3
        or exists (select 1 from users p where p.tenant = u.tenant and p.id = u.owner and p.avatar = u.id)
        or exists (
            select 1 from upload_uses x
            join members b on b.tenant = x.tenant and b.conversation = x.conversation
            where x.tenant = u.tenant and x.upload = u.id and b.user_id = $3
                and (x.seq = 0 or (x.seq >= b.first_seq and not is_concealed(x.tenant, x.conversation, $3, x.seq)))
                and not exists (
                    select 1 from messages m
                    where m.tenant = x.tenant and m.conversation = x.conversation and m.seq = x.seq and m.expires_at <= now_ms()
                )
        )
    )

-- name: file
-- A file, for a URL that is signed: tenant, id.
select u.id::text, u.key, u.mime, u.size, encode(u.sha256, 'hex') as sha256, u.name, u.thumbnail_size
from uploads u
where u.tenant = $1 and u.id = $2 and u.removed_at is null

-- name: mark_deleted
-- Mark an upload as deleted: it can no longer be read. No row if there is none. The bytes of an upload that messages
-- use are kept for reports until a time. `is_avatar`: a trigger of people takes it from the profile: tenant, id, owner, now, that time.
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
select removed.key, exists (select 1 from withheld) or is_evidence(removed.tenant, removed.id, $4) as is_evidence,
    exists (select 1 from users u where u.tenant = $1 and u.id = $3 and u.avatar = $2) as is_avatar
from removed

-- name: set_bytes_deleted
-- Record that the bytes are deleted, by replacing the key, and delete what shows the content: tenant, id.
update uploads set key = 'deleted:' || tenant || ':' || id, placeholder = null, waveform = null where tenant = $1 and id = $2
