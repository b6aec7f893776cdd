-- name: claim
-- The fingerprint that this database has, which is the given one when it had none: fingerprint.
with mine as (
    insert into installation (secret_fingerprint) values ($1) on conflict do nothing returning secret_fingerprint
)
select secret_fingerprint from mine union all select secret_fingerprint from installation limit 1

-- name: adopt
-- From now on the hashes are made with another secret: its fingerprint. Returns the fingerprint of before.
with before as (
    select secret_fingerprint from installation
)
insert into installation (secret_fingerprint) values ($1)
on conflict (one) do update set secret_fingerprint = excluded.secret_fingerprint
returning (select secret_fingerprint from before)
