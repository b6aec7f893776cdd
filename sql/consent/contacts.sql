-- name: lock_user
-- Contacts of a user are added one at a time, so that their count is exact: tenant, user.
select 1 from users where tenant = $1 and id = $2 for no key update

-- name: add
-- Null if there is no such user: tenant, user, contact, now.
with found as (
    select u.id from users u where u.tenant = $1 and u.id = $3 and u.erased_at is null
),
added as (
    insert into contacts (tenant, user_id, contact, created_at) select $1, $2, found.id, $4 from found
    on conflict (user_id, contact, tenant) do nothing
)
select id::text from found

-- name: count
-- Contacts of a user: tenant, user.
select count(*) from contacts where tenant = $1 and user_id = $2

-- name: remove
-- Tenant, user, contact.
delete from contacts where tenant = $1 and user_id = $2 and contact = $3 returning contact

-- name: touch_settings
-- Mark the settings of a user as changed, for session.sync: tenant, user.
insert into user_settings (tenant, user_id) values ($1, $2)
on conflict (user_id, tenant) do update set changed = pg_current_xact_id()

-- name: page
-- The contacts that a user has, by id: tenant, user, after this one (null: from the first), limit.
select k.contact::text as user, p.name, k.created_at from contacts k
join users p on p.tenant = k.tenant and p.id = k.contact
where k.tenant = $1 and k.user_id = $2 and k.contact > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
order by k.contact limit $4
