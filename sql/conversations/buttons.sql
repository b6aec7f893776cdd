-- name: bot
-- Whether a user is a bot: tenant, user.
select 1 from users u where u.tenant = $1 and u.id = $2 and u.bot
