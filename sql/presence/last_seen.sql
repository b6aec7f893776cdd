-- name: save
-- Save the times when users were last seen: tenants, users, milliseconds. Sorted, so that two nodes cannot deadlock.
-- `changed` is 0, because session.sync need not report it.
insert into user_settings (tenant, user_id, last_seen_at, changed)
select a.tenant, a.user_id, max(a.at), '0' from unnest($1::text[], $2::uuid[], $3::bigint[]) as a (tenant, user_id, at)
join users u on u.tenant = a.tenant and u.id = a.user_id and u.erased_at is null
group by a.tenant, a.user_id
order by a.user_id, a.tenant
on conflict (user_id, tenant) do update
set last_seen_at = greatest(user_settings.last_seen_at, excluded.last_seen_at)
