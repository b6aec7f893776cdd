-- name: mark_announced
-- These users have received `match.found`: tenants, matches, users (arrays of equal length).
update match_members b set announced = true
from unnest($1::text[], $2::uuid[], $3::uuid[]) as a (tenant, match, user_id)
where b.tenant = a.tenant and b.match = a.match and b.user_id = a.user_id
