-- name: claim
-- The fingerprint that this database has; it takes the given one if it has none: fingerprint.
with mine as (
    insert into installation (secret_fingerprint) values ($1) on conflict do nothing returning secret_fingerprint
)
select secret_fingerprint from mine union all select secret_fingerprint from installation limit 1

-- name: adopt
-- Replace the fingerprint; returns the previous one: fingerprint.
with before as (
    select secret_fingerprint from installation
)
insert into installation (secret_fingerprint) values ($1)
on conflict (only_row) do update set secret_fingerprint = excluded.secret_fingerprint
returning (select secret_fingerprint from before)
