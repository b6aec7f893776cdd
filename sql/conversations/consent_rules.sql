-- name: users_to_ask
-- Those of these users who have to consent first: tenant, requester, users, what the requester wants to do (messages,
-- groups or calls), who may do it with users who have not chosen that. Bots consent to all of it. `by_bot`: the requester
-- is a bot, and may not begin at all.
select w.id::text as user, q.by_bot
from unnest($3::uuid[]) as w (id)
cross join lateral (select exists (select 1 from users u where u.id = $2 and u.tenant = $1 and u.bot) as by_bot) as q
left join lateral (
    select s.allow_messages, s.allow_groups, s.allow_calls from user_settings s
    where s.tenant = $1 and s.user_id = w.id limit 1
) as s on true
where w.id <> $2 and (q.by_bot or not exists (select 1 from users u where u.id = w.id and u.tenant = $1 and u.bot) and case
    coalesce(case $4::text when 'messages' then s.allow_messages when 'groups' then s.allow_groups else s.allow_calls end, $5::text)
    when 'everybody' then false
    when 'contacts' then not is_contact($1, w.id, $2)
    else true
end)

-- name: candidates
-- Those of these users who exist and are not members: tenant, conversation, users. `is_asked`: there is a request, which
-- is not withdrawn. `has_too_many`: the user has this many requests to answer.
select u.id::text as user,
    exists (
        select 1 from contact_requests r
        where r.tenant = $1 and r.conversation = $2 and r.user_id = u.id and r.withdrawn_at is null
    ) as is_asked,
    exists (
        select 1 from contact_requests r
        where r.tenant = $1 and r.user_id = u.id and r.is_pending offset greatest($4::integer - 1, 0) limit 1
    ) as has_too_many,
    exists (
        select 1 from members b where b.tenant = $1 and b.conversation = $2 and b.user_id = u.id
    ) as is_member
from users u
where u.tenant = $1 and u.id = any($3::uuid[]) and u.erased_at is null

-- name: count_requests
-- Requests of a conversation: tenant, conversation.
select count(*) as found from contact_requests where tenant = $1 and conversation = $2

-- name: charge
-- Count requests of a sender, who may send so many within a day; each time that so many more were declined, only half as
-- many. Returns how many were sent, how many are allowed, and when the day began: tenant, conversation, sender, number,
-- now, requests per day, declined requests that halve them.
insert into request_senders as s (tenant, user_id, day_at, sent, allowed)
select $1, $3, $5, $4, $6 where $2::uuid is not null
on conflict (user_id, tenant) do update
set day_at = case when $5 - s.day_at < 86400000 then s.day_at else $5 end,
    sent = case when $5 - s.day_at < 86400000 then s.sent else 0 end + $4,
    allowed = case when $5 - s.day_at < 86400000 then s.allowed else greatest(
        1, floor($6::integer / power(2, least(30, floor((decayed_score(s.score, s.scored_at, $5) + 0.001) / $7::integer))))
    )::integer end
returning s.sent, s.allowed, s.day_at

-- name: add_requests
-- Store requests, or those that were withdrawn again. One by a user who is blocked is declined from the beginning:
-- tenant, conversation, sender, users, now.
insert into contact_requests as r (tenant, conversation, user_id, sender, created_at, declined_at)
select $1, $2, w.id, $3, $5, case when exists (
    select 1 from blocks b where b.tenant = $1 and b.blocker = w.id and b.blocked_as = $3
) then $5::bigint end
from unnest($4::uuid[]) as w (id)
order by w.id
on conflict (conversation, user_id, tenant) do update
set sender = excluded.sender, created_at = excluded.created_at, withdrawn_at = null,
    declined_at = coalesce(r.declined_at, excluded.declined_at)
returning user_id::text as user, is_pending

-- name: touch_settings
-- Mark the settings of users as changed, for session.sync: tenant, conversation, users.
insert into user_settings (tenant, user_id)
select $1, w.id from unnest($3::uuid[]) as w (id) where $2::uuid is not null order by w.id
on conflict (user_id, tenant) do update set changed = pg_current_xact_id()

-- name: request
-- The request to a user: tenant, conversation, user.
select r.sender::text, r.is_pending, r.withdrawn_at is not null as is_withdrawn, exists (
    select 1 from blocks b where b.tenant = r.tenant and b.blocker = r.user_id and b.blocked_as = r.sender
) as is_blocked
from contact_requests r where r.tenant = $1 and r.conversation = $2 and r.user_id = $3

-- name: admit
-- The user has accepted a direct conversation, and is mentioned by messages from before: tenant, conversation, user,
-- sender, rev, now.
with answered as (
    delete from contact_requests where tenant = $1 and conversation = $2 and user_id = $3
),
accepted as (
    update conversations set max_seq = null where tenant = $1 and id = $2
),
new_mentions as (
    insert into mentions (tenant, conversation, user_id, seq)
    select m.tenant, m.conversation, $3::uuid, m.seq from messages m
    where m.tenant = $1 and m.conversation = $2 and m.extra -> 'mentions' ? $3::uuid::text
    on conflict do nothing
),
new_contact as (
    insert into contacts (tenant, user_id, contact, created_at) values ($1, $3, $4, $6)
    on conflict (user_id, contact, tenant) do nothing
)
insert into members (tenant, conversation, user_id, joined_at, rev) values ($1, $2, $3, $6, $5)
