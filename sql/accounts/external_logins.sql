-- name: see
-- Make a login of an identity provider, or note that it is used. Returns whether it is new; no row if it has ended:
-- tenant, login, user, now, network.
insert into logins (tenant, id, user_id, created_at, last_seen, address, is_external) values ($1, $2, $3, $4, $4, $5, true)
on conflict (id, tenant) do update set
    last_seen = greatest(logins.last_seen, excluded.last_seen), address = coalesce(excluded.address, logins.address)
where logins.ended_at is null
returning xmax = 0 as is_new

-- name: end_oldest
-- End all logins of a user except the newest ones. Returns their ids: tenant, user, number of logins to keep, now.
update logins l set ended_at = $4::bigint
from (
    select id from logins where tenant = $1 and user_id = $2 and ended_at is null order by created_at desc, id desc offset $3
) as surplus
where l.tenant = $1 and l.id = surplus.id
returning l.id::text

-- name: sweep_unused
-- Delete logins that have not ended. Returns their number: last use, limit.
with deleted as (
    delete from logins where ctid = any(array(
        select o.ctid from logins o where o.is_external and o.ended_at is null and o.last_seen < $1 order by o.last_seen limit $2
    )) returning 1
)
select count(*) from deleted

-- name: sweep_ended
-- Delete ended logins. Returns their number: latest end, limit.
with deleted as (
    delete from logins where ctid = any(array(
        select o.ctid from logins o where o.is_external and o.ended_at < $1 order by o.ended_at limit $2
    )) returning 1
)
select count(*) from deleted
