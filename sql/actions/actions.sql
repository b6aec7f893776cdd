-- name: answer
-- Answer an action once, and take it: tenant, bot, action, milliseconds within which the user gets the answer. No row
-- if there is no such action, or it is answered.
update actions a
set due_at = null, answered_at = case when a.created_at > now_ms() - $4::bigint then now_ms() end
where a.tenant = $1 and a.bot = $2 and a.id = $3 and a.answered_at is null
returning a.user_id::text as user, a.conversation::text, a.message::text, a.answered_at is not null as is_in_time

-- name: exists
-- Tenant, bot, action.
select 1 from actions a where a.tenant = $1 and a.bot = $2 and a.id = $3

-- name: take
-- Send these actions to the bot no more. Returns those of them that are its own: tenant, bot, actions.
update actions a set due_at = null
where a.tenant = $1 and a.bot = $2 and a.id = any($3::uuid[])
returning a.id::text

-- name: pending
-- Actions that the bot has not taken, the oldest first: tenant, bot, after this one (null: from the first), limit.
select a.id::text, a.conversation::text, a.message::text, a.user_id::text as user,
    a.data, a.created_at as at
from actions a
where a.tenant = $1 and a.bot = $2 and a.due_at is not null
    and a.id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
order by a.id limit $4

-- name: claim_due
-- Actions to send again, each at growing intervals: milliseconds of the first and of the longest one, limit.
update actions a
set sent = a.sent + 1, due_at = now_ms() + least($1::bigint * power(2, least(a.sent, 30)), $2::bigint)::bigint
where a.ctid = any(array(
    select x.ctid from actions x where x.due_at <= now_ms() order by x.due_at limit $3 for update skip locked
))
returning a.tenant, a.bot::text, a.id::text, a.conversation::text, a.message::text,
    a.user_id::text as user, a.data, a.created_at as at

-- name: sweep
-- Delete old actions: milliseconds for which they are kept, limit. Returns how many, and how many of them the bots have
-- not taken.
with deleted as (
    delete from actions a
    where a.ctid = any(array(
        select x.ctid from actions x where x.created_at < now_ms() - $1::bigint order by x.created_at limit $2
    ))
    returning a.due_at
)
select count(*) as deleted, count(due_at) as pending from deleted

-- name: export
-- Buttons that the user has pressed: tenant, user, limit, after this one.
select a.id::text, a.bot::text, a.conversation::text, a.message::text, a.client_id, a.data, a.created_at from actions a
where a.tenant = $1 and a.user_id = $2 and a.id > $4::uuid
order by a.id limit $3

-- name: forget
-- Tenant, user.
delete from actions a where a.tenant = $1 and a.user_id = $2

-- name: forget_bot
-- Tenant, bot.
delete from actions a where a.tenant = $1 and a.bot = $2
