-- name: lock
-- The commands of a bot are replaced one after the other: tenant, bot.
select 1 from bots b where b.tenant = $1 and b.user_id = $2 for no key update

-- name: remove_others
-- Tenant, bot, the names that stay.
delete from bot_commands c where c.tenant = $1 and c.bot = $2 and c.name <> all($3::text[])

-- name: put
-- Tenant, bot, names, declarations, pairwise in their order.
insert into bot_commands (tenant, bot, name, place, declared)
select $1, $2, w.name, w.place, w.declared::jsonb from unnest($3::text[], $4::text[]) with ordinality as w (name, declared, place)
on conflict (bot, name, tenant) do update set place = excluded.place, declared = excluded.declared

-- name: own
-- The commands of a bot: tenant, bot.
select c.declared from bot_commands c where c.tenant = $1 and c.bot = $2 order by c.place

-- name: offered
-- The commands that a member is offered in a conversation, by name and bot: tenant, conversation, member, prefix of the
-- name, after this one (name, bot), limit. `is_shared`: another bot there has a command of this name. No row for a
-- user who is not a member, and none for a bot.
with here as materialized (
    select b.user_id as bot, c.kind
    from conversations c
    join users u on u.tenant = c.tenant and u.bot and u.deactivated_at is null and u.erased_at is null
    join members b on b.tenant = c.tenant and b.conversation = c.id and b.user_id = u.id
    where c.tenant = $1 and c.id = $2 and c.kind <> 'match' and exists (
        select 1 from members m join users p on p.tenant = m.tenant and p.id = m.user_id
        where m.tenant = $1 and m.conversation = $2 and m.user_id = $3 and not p.bot
    )
),
offered as materialized (
    select k.bot, k.name, k.declared from here h
    join bot_commands k on k.tenant = $1 and k.bot = h.bot
    where left(k.name, length($4::text)) = $4::text
        and k.declared ->> 'scope' in ('all', case when h.kind = 'direct' then 'direct' else 'groups' end)
)
select o.bot::text, o.name, o.declared, u.handle, u.name as bot_name,
    exists (select 1 from offered x where x.name = o.name and x.bot <> o.bot) as is_shared
from offered o
join users u on u.tenant = $1 and u.id = o.bot
where (o.name, o.bot) > ($5::text, $6::uuid)
order by o.name, o.bot limit $7

-- name: candidates
-- The bots in a conversation that have a command: tenant, conversation, sender, name. None for a sender who is a bot, or
-- no member.
select k.bot::text, k.declared, u.handle
from bot_commands k
join users u on u.tenant = k.tenant and u.id = k.bot and u.deactivated_at is null and u.erased_at is null
join members b on b.tenant = k.tenant and b.conversation = $2 and b.user_id = k.bot
join conversations c on c.tenant = k.tenant and c.id = $2 and c.kind <> 'match'
where k.tenant = $1 and k.name = $4
    and k.declared ->> 'scope' in ('all', case when c.kind = 'direct' then 'direct' else 'groups' end)
    and exists (
        select 1 from members m join users p on p.tenant = m.tenant and p.id = m.user_id
        where m.tenant = $1 and m.conversation = $2 and m.user_id = $3 and not p.bot
    )
order by k.bot

-- name: export
-- The declared commands of a bot: tenant, user, limit, after this name.
select c.name as command, c.declared from bot_commands c where c.tenant = $1 and c.bot = $2 and c.name > $4::text order by c.name limit $3

-- name: locale
-- Tenant, user.
select u.locale from users u where u.tenant = $1 and u.id = $2
