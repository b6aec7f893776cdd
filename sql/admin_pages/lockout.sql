-- name: failures
-- The failures of these keys, and in how many ms they are forgotten: keys, window in ms.
select f.key, f.failures, f.first_at + $2 - now_ms() as left_ms
from admin_sign_in_failures f where f.key = any($1::bytea[]) and f.first_at > now_ms() - $2

-- name: add
-- Count a failure: key, window in ms. Returns the number of failures in the window.
insert into admin_sign_in_failures (key, failures, first_at) values ($1, 1, now_ms())
on conflict (key) do update set
    failures = case when admin_sign_in_failures.first_at > now_ms() - $2 then admin_sign_in_failures.failures + 1 else 1 end,
    first_at = case when admin_sign_in_failures.first_at > now_ms() - $2 then admin_sign_in_failures.first_at else now_ms() end
returning failures

-- name: forget
-- Key.
delete from admin_sign_in_failures where key = $1

-- name: sweep
-- Delete old failures: window in ms, limit. Returns how many.
with gone as (
    delete from admin_sign_in_failures where ctid = any(array(
        select f.ctid from admin_sign_in_failures f where f.first_at <= now_ms() - $1 order by f.first_at limit $2
    )) returning 1
)
select count(*) from gone
