-- name: unused
-- Those of these uploads that exist and that no message uses: tenant, ids.
select u.key from uploads u
where u.tenant = $1 and u.id = any($2::uuid[])
    and not exists (select 1 from upload_uses x where x.tenant = u.tenant and x.upload = u.id)

-- name: delete_unused
-- Tenant, ids.
delete from uploads u
where u.tenant = $1 and u.id = any($2::uuid[])
    and not exists (select 1 from upload_uses x where x.tenant = u.tenant and x.upload = u.id)

-- name: use
-- Let new messages use their uploads, which get the time of the message: an import counts for no quota. Returns their
-- number: tenant; uploads, conversations, messages, pairwise.
with used as (
    update uploads u set created_at = m.created_at
    from unnest($2::uuid[], $3::uuid[], $4::uuid[]) as g (upload, conversation, message)
    join messages m on m.tenant = $1 and m.conversation = g.conversation and m.id = g.message
    where u.tenant = $1 and u.id = g.upload and u.removed_at is null
    returning u.id as upload, m.conversation, m.seq
),
new_uses as (
    insert into upload_uses (tenant, upload, conversation, seq)
    select $1, d.upload, d.conversation, d.seq from used d
    on conflict do nothing
)
select count(*) from used
