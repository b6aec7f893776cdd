-- name: set
-- Change fields of a conversation; null leaves a field unchanged, '' removes a text: tenant, conversation, title,
-- description, picture, announce, disappear, joining, history, keep_days (0: as configured), slow_seconds.
update conversations
set title = case when $3::text is null then title else nullif($3, '') end,
    description = case when $4::text is null then description else nullif($4, '') end,
    picture = coalesce($5::uuid, picture), announce = coalesce($6, announce), disappear = coalesce($7, disappear),
    joining = coalesce($8, joining), history = coalesce($9, history),
    keep_days = case when $10::integer is null then keep_days else nullif($10, 0) end,
    slow_seconds = coalesce($11, slow_seconds)
where tenant = $1 and id = $2

-- name: own_upload
-- An image upload of this user: tenant, conversation, user, upload.
select 1 from uploads u
where u.tenant = $1 and u.owner = $3 and u.id = $4 and u.removed_at is null and u.mime like 'image/%' and $2::uuid is not null
for share of u

-- name: use_picture
-- Let members read the new picture, and release the previous one: tenant, conversation, upload.
with released as (
    delete from upload_uses where tenant = $1 and conversation = $2 and seq = 0 and upload <> $3
)
insert into upload_uses (tenant, upload, conversation, seq) values ($1, $3, $2, 0) on conflict do nothing
