-- name: add
-- Add a session: hash, admin, hash of the token, lifetime in ms.
insert into admin_sessions (hash, admin, token_hash, created_at, seen_at, ends_at)
values ($1, $2, $3, now_ms(), now_ms(), now_ms() + $4)

-- name: limit_sessions
-- Delete the oldest sessions of an admin: admin, how many stay.
delete from admin_sessions s
where s.hash in (select o.hash from admin_sessions o where o.admin = $1 order by o.created_at desc, o.hash offset $2)

-- name: find
-- A session: hash, idle timeout in ms. `has_ended`: it is too old, or was idle for too long. `is_stale`: `touch` should
-- be called.
select s.admin, s.token_hash, s.ends_at <= now_ms() or s.seen_at <= now_ms() - $2 as has_ended,
    s.seen_at < now_ms() - 10000 as is_stale, now_ms() as now
from admin_sessions s where s.hash = $1

-- name: touch
-- Note a request: hash.
update admin_sessions set seen_at = now_ms() where hash = $1

-- name: remove
-- Hash.
delete from admin_sessions where hash = $1

-- name: remove_others
-- The other sessions of an admin: admin, hash of the one that stays.
delete from admin_sessions where admin = $1 and hash <> $2

-- name: sweep
-- Delete sessions that have ended: limit. Returns how many.
with gone as (
    delete from admin_sessions
    where ctid = any(array(select s.ctid from admin_sessions s where s.ends_at <= now_ms() order by s.ends_at limit $1))
    returning 1
)
select count(*) from gone
