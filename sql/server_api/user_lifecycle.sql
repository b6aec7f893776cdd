-- name: set_deactivated
-- Tenant, user, when (null: active). No row for an unknown or erased user.
update users set deactivated_at = case when $3::bigint is null then null else coalesce(deactivated_at, $3) end
where tenant = $1 and id = $2 and erased_at is null returning id::text

-- name: sign_in_state
-- Tenant, user. No row for an unknown or erased user.
select u.deactivated_at is not null as is_deactivated, u.bot as is_bot from users u
where u.tenant = $1 and u.id = $2 and u.erased_at is null for key share

-- name: end_logins
-- End all logins of a user: tenant, user, now.
update logins set ended_at = $3 where tenant = $1 and user_id = $2 and ended_at is null
