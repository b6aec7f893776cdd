-- name: export
-- Handles that the user gave up, which are stored as hashes: tenant, user, limit, after.
select h.id::text as change, h.released_at from handle_changes h
where h.tenant = $1 and h.user_id = $2 and h.id > $4::uuid
order by h.id limit $3

-- name: forget
-- Remove the profile, and give up the handle: tenant, user. Handles stay held for a while, without the user.
with released as (
    insert into handle_changes (tenant, id, user_id, key_hash, released_at)
    select u.tenant, gen_random_uuid(), null, sha256(convert_to(u.tenant, 'UTF8') || '\x00' || convert_to(u.handle_key, 'UTF8')), now_ms()
    from users u where u.tenant = $1 and u.id = $2 and u.handle_key is not null
),
unnamed as (
    update handle_changes set user_id = null where tenant = $1 and user_id = $2
),
removed as (
    delete from user_names where tenant = $1 and user_id = $2
)
update users set handle = null, handle_key = null, avatar = null, status_text = null, time_zone = null, profile = null, indexed_name = null
where tenant = $1 and id = $2
