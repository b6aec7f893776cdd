-- name: known
-- A stored preview, and whether it has expired: tenant, hash of the URL.
select p.preview, p.expires_at <= now_ms() as is_expired from link_previews p where p.tenant = $1 and p.url_hash = $2

-- name: store
-- Tenant, hash of the URL, preview (null: there is none), milliseconds until it expires.
insert into link_previews (tenant, url_hash, preview, expires_at) values ($1, $2, $3, now_ms() + $4::bigint)
on conflict (url_hash, tenant) do update set preview = excluded.preview, expires_at = excluded.expires_at

-- name: sweep
-- Delete expired previews. Returns their number: limit.
with deleted as (
    delete from link_previews p
    where p.ctid = any(array(select o.ctid from link_previews o where o.expires_at <= now_ms() order by o.expires_at limit $1))
    returning 1
)
select count(*) from deleted

-- name: message
-- A message that still has this link and no preview: tenant, conversation, seq, URL.
select s.id from message_states s
where s.tenant = $1 and s.conversation = $2 and s.seq = $3 and s.deleted_at is null and s.preview is null
    and (position($4::text in s.text) > 0 or s.attachments @> jsonb_build_array(jsonb_build_object('url', $4::text)))

-- name: attach
-- Tenant, conversation, seq, rev, preview.
update messages set rev = $4, extra = jsonb_set(coalesce(extra, '{}'), '{preview}', $5::jsonb)
where tenant = $1 and conversation = $2 and seq = $3
