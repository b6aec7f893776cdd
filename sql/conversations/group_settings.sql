-- name: set
-- What the row of a conversation says; null leaves a field as it is, and '' empties a text:
-- tenant, conversation, title, description, picture, announce, disappear, joining, history, keep_days (0: as configured), slow_seconds.
update conversations
set title = case when $3::text is null then title else nullif($3, '') end,
    description = case when $4::text is null then description else nullif($4, '') end,
    picture = coalesce($5::uuid, picture), announce = coalesce($6, announce), disappear = coalesce($7, disappear),
    joining = coalesce($8, joining), history = coalesce($9, history),
    keep_days = case when $10::integer is null then keep_days else nullif($10, 0) end,
    slow_seconds = coalesce($11, slow_seconds)
where tenant = $1 and id = $2

-- name: own_upload
-- A picture that this user has uploaded: tenant, conversation, user, upload.
select 1 from uploads u
where u.tenant = $1 and u.owner = $3 and u.id = $4 and u.removed_at is null and u.mime like 'image/%' and $2::uuid is not null
for share of u

-- name: use_picture
-- Members may read it, and those of before need not be kept: tenant, conversation, upload.
with before as (
    delete from upload_uses where tenant = $1 and conversation = $2 and seq = 0 and upload <> $3
)
insert into upload_uses (tenant, upload, conversation, seq) values ($1, $3, $2, 0) on conflict do nothing
