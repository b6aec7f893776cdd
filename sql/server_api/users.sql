-- name: insert
-- Create users that do not exist: tenant, now; ids, external ids (null: none), names, pictures, locales (null or '':
-- none), roles as JSON (null: none), pairwise and in the order of the ids.
insert into users (tenant, id, external_id, name, picture_url, locale, roles, created_at)
select $1, g.id, g.external_id, nullif(g.name, ''), nullif(g.picture_url, ''), nullif(g.locale, ''),
    array(select jsonb_array_elements_text(g.roles::jsonb)), $2
from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) as g (id, external_id, name, picture_url, locale, roles)
order by g.id
on conflict (id, tenant) do nothing
returning id::text

-- name: lock
-- Lock users in the order of their ids: tenant, ids.
select u.id::text, u.erased_at is not null as is_erased from users u
where u.tenant = $1 and u.id = any($2::uuid[]) order by u.id for no key update

-- name: update
-- Change the given fields of users that are not erased; null leaves a field, '' removes it: tenant; ids, external ids,
-- names, pictures, locales, roles as JSON, pairwise. Returns the users that have changed.
with new_values as (
    select u.id, u.tenant,
        coalesce(u.external_id, g.external_id) as external_id,
        case when g.name is null then u.name else nullif(g.name, '') end as name,
        case when g.picture_url is null then u.picture_url else nullif(g.picture_url, '') end as picture_url,
        case when g.locale is null then u.locale else nullif(g.locale, '') end as locale,
        case when g.roles is null then u.roles else array(select jsonb_array_elements_text(g.roles::jsonb)) end as roles
    from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) as g (id, external_id, name, picture_url, locale, roles)
    join users u on u.tenant = $1 and u.id = g.id
    where u.erased_at is null
)
update users u
set external_id = v.external_id, name = v.name, picture_url = v.picture_url, locale = v.locale, roles = v.roles
from new_values v
where u.tenant = v.tenant and u.id = v.id
    and (u.external_id, u.name, u.picture_url, u.locale, u.roles)
        is distinct from (v.external_id, v.name, v.picture_url, v.locale, v.roles)
returning u.id::text

-- name: find
-- Users that are not erased: tenant, ids.
select u.id::text, u.external_id, u.name, u.picture_url, u.locale, u.roles, u.anonymous, u.bot, u.created_at, u.deactivated_at
from users u where u.tenant = $1 and u.id = any($2::uuid[]) and u.erased_at is null order by u.id
