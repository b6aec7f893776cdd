-- name: readable_uploads
-- The metadata of those of these uploads that the user may use: the user's own, and those in messages that the user can
-- see. Tenant, user, uploads.
select
    u.id::text, u.mime, u.size, u.name, u.width, u.height, u.duration_ms, u.placeholder, u.waveform, u.thumbnail_size
from uploads u
where u.tenant = $1 and u.id = any($3::uuid[]) and u.removed_at is null and (
    u.owner = $2 or exists (
        select 1 from upload_uses s
        join members b on b.tenant = s.tenant and b.conversation = s.conversation and b.user_id = $2
        where s.tenant = u.tenant and s.upload = u.id and s.seq >= b.first_seq and not is_concealed(s.tenant, s.conversation, $2, s.seq)
            and not exists (
                select 1 from messages m
                where m.tenant = s.tenant and m.conversation = s.conversation and m.seq = s.seq and m.expires_at <= now_ms()
            )
    )
)
