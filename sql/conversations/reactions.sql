-- name: own
-- What a user has set on a message: tenant, conversation, seq, user.
select emoji from reactions where tenant = $1 and conversation = $2 and seq = $3 and user_id = $4

-- name: add
-- One more, and one more in the count: tenant, conversation, seq, user, emoji, now, rev.
with made as (
    insert into reactions (tenant, conversation, seq, user_id, emoji, created_at) values ($1, $2, $3, $4, $5, $6)
)
update messages
set rev = $7, reactions = jsonb_set(
    coalesce(reactions, '{}'), array[$5::text], to_jsonb(coalesce((reactions ->> $5::text)::bigint, 0) + 1)
)
where tenant = $1 and conversation = $2 and seq = $3

-- name: remove
-- One less, and no emoji with a count of zero: tenant, conversation, seq, user, emoji, rev.
with gone as (
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
-- Who has reacted, by user; nobody to what has expired: tenant, conversation, seq, emoji (null: any), after this user, limit.
select r.user_id::text as user, p.name, array_agg(r.emoji order by r.created_at, r.emoji collate "C") as emoji
from reactions r
join messages m on m.tenant = r.tenant and m.conversation = r.conversation and m.seq = r.seq
join users p on p.tenant = r.tenant and p.id = r.user_id
where (m.expires_at is null or m.expires_at > millis()) and r.tenant = $1 and r.conversation = $2 and r.seq = $3 and ($4::text is null or r.emoji = $4)
    and r.user_id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
group by r.user_id, p.name
order by r.user_id limit $6
