-- name: visible
-- Of pairs (tenants, users, viewers) those in which the viewer may see whether the user is there, and who sees it unless the user says otherwise.
-- A contact is somebody with whom the user has begun a direct conversation, or to whom they have answered: among the last hundred messages.
select a.tenant, a.user_id::text as user, a.viewer::text as viewer, s.last_seen_at as last_seen
from unnest($1::text[], $2::uuid[], $3::uuid[]) as a (tenant, user_id, viewer)
join users u on u.tenant = a.tenant and u.id = a.user_id and u.erased_at is null
left join lateral (
    select s.last_seen_at, s.show_presence from user_settings s where s.tenant = a.tenant and s.user_id = a.user_id limit 1
) as s on true
where a.user_id = a.viewer or (
    not exists (select 1 from blocks b where b.tenant = a.tenant and b.blocker = a.user_id and b.blocked = a.viewer)
    and not exists (select 1 from blocks b where b.tenant = a.tenant and b.blocker = a.viewer and b.blocked = a.user_id)
    and case coalesce(s.show_presence, $4)
        when 'everybody' then true
        when 'contacts' then exists (
            select 1 from conversations c
            where c.tenant = a.tenant and c.pair_low = least(a.user_id, a.viewer) and c.pair_high = greatest(a.user_id, a.viewer)
                and (c.creator = a.user_id or exists (
                    select 1 from (
                        select m.sender, m.system from messages m
                        where m.tenant = c.tenant and m.conversation = c.id
                        order by m.seq desc limit 100
                    ) as l
                    where l.sender = a.user_id and l.system is null
                ))
        )
        else false
    end
)
