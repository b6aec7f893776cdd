-- name: get
select enabled, message, retry_after from maintenance

-- name: set
-- Enabled, message, seconds until its end (null: unknown), now.
insert into maintenance (enabled, message, retry_after, changed_at) values ($1, $2, $3, $4)
on conflict (only_row) do update set enabled = $1, message = $2, retry_after = $3, changed_at = $4
