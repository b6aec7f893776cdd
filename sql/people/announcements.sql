-- name: profiles
-- Profiles to announce, with the conversations whose members get them: tenants, users, pairwise; the largest conversation
-- in which changes are announced. The members of a match know each other by aliases.
select u.tenant, u.id::text, u.name, u.handle, u.avatar::text, u.picture_url, u.status_text, u.profile, u.locale, u.time_zone, u.external_id,
    u.roles, u.profile_version, u.bot,
    array(
        select b.conversation::text from members b
        join conversations c on c.tenant = b.tenant and c.id = b.conversation
        where b.tenant = u.tenant and b.user_id = u.id and b.alias is null and c.members <= $3
    ) as conversations
from unnest($1::text[], $2::uuid[]) as w (tenant, id)
join users u on u.tenant = w.tenant and u.id = w.id and u.erased_at is null

-- name: changed
-- Users whose profile changed at or after a horizon: horizon, limit.
select u.tenant, u.id::text as user from users u where u.profile_version > 0 and u.profile_changed >= $1::text::xid8 limit $2
