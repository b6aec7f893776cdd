-- name: page
-- The logins of a user that have not ended, the last used one first: tenant, user, limit.
select id::text, name, platform, created_at, last_seen, address
from logins
where tenant = $1 and user_id = $2 and ended_at is null
order by last_seen desc, id desc
limit $3

-- name: rename
-- No row if the user has no such login: tenant, user, login, name.
update logins set name = $4
where tenant = $1 and user_id = $2 and id = $3 and ended_at is null
returning id::text, name, platform, created_at, last_seen, address

-- name: end
-- End a login. No row if the user has no such login: tenant, user, login, now.
update logins set ended_at = $4
where tenant = $1 and user_id = $2 and id = $3 and ended_at is null
returning id::text

-- name: end_others
-- End all logins of a user except one: tenant, user, login (null: none), now.
update logins set ended_at = $4
where tenant = $1 and user_id = $2 and ended_at is null and id is distinct from $3::uuid
returning id::text
