-- name: resolve_aliases
-- Those of these ids that are aliases in matches of which the requester is or was a member, with their users: tenant,
-- requester, ids.
select o.alias::text, o.user_id::text as user, o.conversation::text, true as is_running
from members o
join members b on b.tenant = o.tenant and b.conversation = o.conversation and b.user_id = $2
where o.tenant = $1 and o.alias = any($3::uuid[])
union all
select o.alias::text, o.user_id::text, o.conversation::text, false
from former_members o
join former_members b on b.tenant = o.tenant and b.conversation = o.conversation and b.user_id = $2
where o.tenant = $1 and o.alias = any($3::uuid[])

-- name: is_valid_alias
-- Whether an alias still stands for a user, as it does until the match is kept: tenant, alias.
select 1 from members o where o.tenant = $1 and o.alias = $2
union all
select 1 from former_members o where o.tenant = $1 and o.alias = $2
