-- name: get_or_set
-- The fingerprint of this database. If it has none, store the given one: fingerprint.
with inserted as (
    insert into installation (secret_fingerprint) values ($1) on conflict do nothing returning secret_fingerprint
)
select secret_fingerprint from inserted union all select secret_fingerprint from installation limit 1

-- name: replace
-- Replace the fingerprint, and return the previous one: fingerprint.
with previous as (
    select secret_fingerprint from installation
)
insert into installation (secret_fingerprint) values ($1)
on conflict (only_row) do update set secret_fingerprint = excluded.secret_fingerprint
returning (select secret_fingerprint from previous)
