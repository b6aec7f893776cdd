-- name: lock
-- Lock the profile of a user: tenant, user.
select u.handle_key from users u where u.tenant = $1 and u.id = $2 and u.erased_at is null for no key update

-- name: clear
-- Remove fields of a profile: tenant, user, names of the fields.
update users u
set name = case when 'name' = any($3::text[]) then null else name end,
    handle = case when 'handle' = any($3::text[]) then null else handle end,
    handle_key = case when 'handle' = any($3::text[]) then null else handle_key end,
    avatar = case when 'avatar' = any($3::text[]) then null else avatar end,
    picture_url = case when 'picture_url' = any($3::text[]) then null else picture_url end,
    status_text = case when 'status_text' = any($3::text[]) then null else status_text end,
    profile = case when 'profile' = any($3::text[]) then null else profile end
where u.tenant = $1 and u.id = $2
returning u.id::text, u.name, u.handle
