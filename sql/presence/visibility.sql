-- name: visible_pairs
-- The pairs in which the viewer may see the presence of the user: tenants, users, viewers, aliases by which the viewers
-- ask (or null), who sees presence by default. By an alias it is visible as long as the match lasts, if the user shows
-- it to everybody; other rules do not apply. is_contact() says who is a contact.
select a.tenant, a.user_id::text as user, a.viewer::text as viewer, a.alias::text, case when a.alias is null then s.last_seen_at end as last_seen
from unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[]) as a (tenant, user_id, viewer, alias)
join users u on u.tenant = a.tenant and u.id = a.user_id and u.erased_at is null
left join lateral (
    select s.last_seen_at, s.show_presence from user_settings s where s.tenant = a.tenant and s.user_id = a.user_id limit 1
) as s on true
where case when a.alias is not null then a.user_id = a.viewer or coalesce(s.show_presence, $5) = 'everybody' and exists (
    select 1 from members o
    join members b on b.tenant = o.tenant and b.conversation = o.conversation and b.user_id = a.viewer
    where o.tenant = a.tenant and o.alias = a.alias and o.user_id = a.user_id
) else a.user_id = a.viewer or (
    not exists (select 1 from blocks b where b.tenant = a.tenant and b.blocker = a.user_id and b.blocked_as = a.viewer)
    and not exists (select 1 from blocks b where b.tenant = a.tenant and b.blocker = a.viewer and b.blocked_as = a.user_id)
    and case coalesce(s.show_presence, $5)
        when 'everybody' then true
        when 'contacts' then is_contact(a.tenant, a.user_id, a.viewer)
        else false
    end
) end
