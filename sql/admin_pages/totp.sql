-- name: find
-- Admin.
select t.secret, t.confirmed_at is not null as is_confirmed from admin_totp t where t.admin = $1

-- name: begin
-- Store a secret that is not confirmed yet, unless there is a confirmed one: admin, secret. No row then.
insert into admin_totp (admin, secret, created_at) values ($1, $2, now_ms())
on conflict (admin) do update set secret = excluded.secret, created_at = excluded.created_at, last_step = 0
where admin_totp.confirmed_at is null
returning 1

-- name: use_step
-- Accept a code of this time step once: admin, step. No row for one that was used.
update admin_totp set last_step = $2, confirmed_at = coalesce(confirmed_at, now_ms())
where admin = $1 and last_step < $2 returning 1

-- name: remove
-- Admin. No row if there is none.
delete from admin_totp where admin = $1 returning 1
