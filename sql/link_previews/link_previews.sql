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
-- A message, unless it is deleted, with the link that its preview is of: tenant, conversation, seq.
select s.id, s.text, s.attachments, s.preview ->> 'url' as previewed from message_states s
where s.tenant = $1 and s.conversation = $2 and s.seq = $3 and s.deleted_at is null

-- name: attach
-- Tenant, conversation, seq, rev, preview (null: remove it).
update messages set rev = $4, extra = case
    when $5::jsonb is null then nullif(extra - 'preview', '{}')
    else jsonb_set(coalesce(extra, '{}'), '{preview}', $5::jsonb)
end
where tenant = $1 and conversation = $2 and seq = $3
