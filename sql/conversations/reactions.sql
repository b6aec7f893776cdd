-- name: emoji_of_user
-- The reactions of a user to a message: tenant, conversation, seq, user.
select emoji from reactions where tenant = $1 and conversation = $2 and seq = $3 and user_id = $4

-- name: add
-- Add a reaction and increment its count: tenant, conversation, seq, user, emoji, now, rev.
with new_reaction as (
    insert into reactions (tenant, conversation, seq, user_id, emoji, created_at) values ($1, $2, $3, $4, $5, $6)
)
update messages
set rev = $7, reactions = jsonb_set(
    coalesce(reactions, '{}'), array[$5::text], to_jsonb(coalesce((reactions ->> $5::text)::bigint, 0) + 1)
)
where tenant = $1 and conversation = $2 and seq = $3

-- name: remove
-- Remove a reaction and decrement its count, without counts of zero: tenant, conversation, seq, user, emoji, rev.
with deleted as (
    delete from reactions where tenant = $1 and conversation = $2 and seq = $3 and user_id = $4 and emoji = $5
)
update messages
set rev = $6, reactions = nullif(
    case when (reactions ->> $5::text)::bigint > 1
        then jsonb_set(reactions, array[$5::text], to_jsonb((reactions ->> $5::text)::bigint - 1))
        else reactions - $5::text
    end, '{}')
where tenant = $1 and conversation = $2 and seq = $3

-- name: page
-- Users who have reacted, by their id; none if the message has expired: tenant, conversation, seq, emoji (null: any),
-- after this user, limit.
select r.user_id::text as user, p.name, array_agg(r.emoji order by r.created_at, r.emoji collate "C") as emoji
from reactions r
join messages m on m.tenant = r.tenant and m.conversation = r.conversation and m.seq = r.seq
join users p on p.tenant = r.tenant and p.id = r.user_id
where (m.expires_at is null or m.expires_at > now_ms()) and r.tenant = $1 and r.conversation = $2 and r.seq = $3
    and ($4::text is null or r.emoji = $4)
    and r.user_id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
group by r.user_id, p.name
order by r.user_id limit $6

-- name: page_in_match
-- The same in a match, by alias.
select b.alias::text as user, p.name, array_agg(r.emoji order by r.created_at, r.emoji collate "C") as emoji
from members b
join users p on p.tenant = b.tenant and p.id = b.user_id
join messages m on m.tenant = b.tenant and m.conversation = b.conversation and m.seq = $3
join reactions r on r.tenant = b.tenant and r.conversation = b.conversation and r.seq = $3 and r.user_id = b.user_id
where (m.expires_at is null or m.expires_at > now_ms()) and b.tenant = $1 and b.conversation = $2 and ($4::text is null or r.emoji = $4)
    and b.alias > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
group by b.alias, p.name
order by b.alias limit $6
