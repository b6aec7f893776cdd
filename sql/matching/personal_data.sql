-- name: open_match
-- The match that a user is in, of which there is at most one: tenant, user.
select b.match::text from match_members b where b.tenant = $1 and b.user_id = $2 and b.ended_at is null
