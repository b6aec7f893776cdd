-- name: state
-- What decides about a press, in a locked conversation: tenant, conversation, message, bot, user, client_id, maximum
-- pending actions of a bot, maximum presses of the user within a minute, of those on this message.
--
-- `known`, `known_at`: the press with this client_id. `is_available`: the bot can get it. `is_full`: too many actions
-- wait for the bot. `wait_ms`: the milliseconds until the user may press; null: now.
select k.id::text as known, k.created_at as known_at,
    exists (
        select 1 from users u
        join members b on b.tenant = u.tenant and b.conversation = $2 and b.user_id = u.id
        where u.tenant = $1 and u.id = $4 and u.bot and u.erased_at is null and u.deactivated_at is null
    ) as is_available,
    exists (
        select 1 from blocks x where x.tenant = $1 and x.blocker = $4 and x.blocked_as = $5
    ) or exists (
        select 1 from blocks x where x.tenant = $1 and x.blocker = $5 and x.blocked_as = $4
    ) as is_blocked,
    exists (
        select 1 from actions a
        where a.tenant = $1 and a.bot = $4 and a.due_at is not null
        order by a.id offset $7::integer - 1 limit 1
    ) as is_full,
    greatest(
        (
            select a.created_at from actions a
            where a.tenant = $1 and a.user_id = $5 and a.created_at > n.now - 60000
            order by a.created_at desc offset $8::integer - 1 limit 1
        ),
        (
            select a.created_at from actions a
            where a.tenant = $1 and a.user_id = $5 and a.created_at > n.now - 60000 and a.message = $3
            order by a.created_at desc offset $9::integer - 1 limit 1
        )
    ) + 60000 - n.now as wait_ms
from (select now_ms() as now) as n
left join lateral (
    select a.id, a.created_at from actions a
    where a.message = $3 and a.user_id = $5 and a.client_id = $6 and a.tenant = $1
) as k on true

-- name: insert
-- Store a press. Returns its time: tenant, conversation, id, message, bot, user, client_id, data, milliseconds after
-- which it is sent again.
insert into actions (tenant, conversation, id, message, bot, user_id, client_id, data, created_at, due_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, now_ms(), now_ms() + $9::bigint)
returning created_at
