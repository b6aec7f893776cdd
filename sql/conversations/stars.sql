-- name: set_star
-- Star a message that the user can see, or unstar it with null: tenant, conversation, user, message, time.
-- An existing star keeps its time, and so its place in the list.
insert into marks (tenant, user_id, conversation, seq, starred_at)
select m.tenant, b.user_id, m.conversation, m.seq, $5
from messages m
join members b on b.tenant = m.tenant and b.conversation = m.conversation
where m.tenant = $1 and m.conversation = $2 and b.user_id = $3 and m.id = $4 and m.seq >= b.first_seq and m.deleted_at is null
    and not is_concealed($1, $2, $3, m.seq)
on conflict (user_id, conversation, seq, tenant) do update
set starred_at = case when $5::bigint is not null then coalesce(marks.starred_at, $5) end, changed = pg_current_xact_id()
returning seq

-- name: lock_user
-- Stars of a user are added one at a time, so that their count is exact: tenant, user.
select 1 from users where tenant = $1 and id = $2 for no key update

-- name: count_stars
-- Tenant, user.
select count(*) from marks where tenant = $1 and user_id = $2 and starred_at is not null

-- name: page
-- Starred messages that the user can still see, the latest star first: tenant, user, before (star, message; null: from
-- the first), limit.
select k.conversation::text as conversation_id, k.starred_at as star, f.*
from marks k
cross join lateral messages_for($1, k.conversation, $2) as f
where k.tenant = $1 and k.user_id = $2 and k.starred_at is not null and f.seq = k.seq and f.deleted_at is null and f.concealed is not true
    and ($3::bigint is null or (k.starred_at, k.conversation, k.seq) < ($3::bigint, $4::uuid, $5::bigint))
order by k.starred_at desc, k.conversation desc, k.seq desc limit $6
