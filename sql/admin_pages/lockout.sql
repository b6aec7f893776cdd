-- name: add
-- Count an attempt: key, window in ms. Returns the attempts in the window, and its remaining time in ms.
insert into admin_sign_in_attempts as a (key, attempts, first_at) values ($1, 1, now_ms())
on conflict (key) do update set
    attempts = case when a.first_at > now_ms() - $2 then least(a.attempts, 1000000) + 1 else 1 end,
    first_at = case when a.first_at > now_ms() - $2 then a.first_at else now_ms() end
returning attempts, first_at + $2 - now_ms() as left_ms

-- name: forget
-- Key.
delete from admin_sign_in_attempts where key = $1

-- name: sweep
-- Delete old attempts: window in ms, limit. Returns how many.
with gone as (
    delete from admin_sign_in_attempts where ctid = any(array(
        select f.ctid from admin_sign_in_attempts f where f.first_at <= now_ms() - $1 order by f.first_at limit $2
    )) returning 1
)
select count(*) from gone
