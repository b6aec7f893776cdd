-- name: lock_owner
-- Uploads of a user are added one at a time: tenant, user.
select 1 from users where tenant = $1 and id = $2 for no key update

-- name: usage
-- Bytes that count towards the quotas: of a user, with deleted and unfinished uploads, and of all anonymous accounts of an address (0
-- for other accounts): tenant, user, time, address hash, hour.
select
    (
        (select coalesce(sum(x.size), 0) from uploads x where x.tenant = $1 and x.owner = $2 and x.created_at > $3)
        + (
            select coalesce(sum(case r.state when 'open' then r.length when 'ended' then r.received else 0 end), 0)
            from resumable_uploads r where r.tenant = $1 and r.owner = $2 and r.created_at > $3
        )
    )::bigint as by_user,
    (
        select coalesce(sum(a.bytes), 0) from address_uploads a where u.anonymous and a.address_hash = $4::bytea and a.hour >= $5
    )::bigint as by_address
from users u where u.tenant = $1 and u.id = $2

-- name: charge_address
-- Add bytes to what anonymous accounts uploaded from an address: tenant, user, address hash, hour, bytes.
insert into address_uploads (address_hash, hour, bytes)
select $3, $4, $5 from users u where u.tenant = $1 and u.id = $2 and u.anonymous
on conflict (address_hash, hour) do update set bytes = address_uploads.bytes + excluded.bytes
