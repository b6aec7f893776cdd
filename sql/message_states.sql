-- name: by_id
-- A message as everybody sees it, for who has seen it already: tenant, conversation, message, first seq that may be seen.
select s.* from message_states s
join messages m on m.tenant = s.tenant and m.conversation = s.conversation and m.seq = s.seq
where m.tenant = $1 and m.conversation = $2 and m.id = $3 and m.seq >= $4

-- name: readable_uploads
-- How many of these files the user may use: their own, and those of conversations that they are in: tenant, user, uploads.
select count(*) from uploads u
where u.tenant = $1 and u.id = any($3::uuid[]) and u.removed_at is null and (
    u.owner = $2 or exists (
        select 1 from upload_uses s
        join members b on b.tenant = s.tenant and b.conversation = s.conversation and b.user_id = $2
        where s.tenant = u.tenant and s.upload = u.id and s.seq >= b.first_seq
            and not exists (
                select 1 from messages m
                where m.tenant = s.tenant and m.conversation = s.conversation and m.seq = s.seq and m.expires_at <= millis()
            )
    )
)
