-- name: root
-- The seq of a message that the user can see, why it cannot be followed ('': it can), and the last seq of the
-- conversation: tenant, conversation, user, message. A deleted message can be followed as long as it has replies.
select f.seq, c.seq as last_seq,
    case when f.thread is not null or f.system is not null or (f.deleted_at is not null and f.replies is null) then 'closed_thread' else '' end
        as refusal
from messages m
join conversations c on c.tenant = m.tenant and c.id = m.conversation
cross join lateral messages_for($1, $2, $3) as f
where m.tenant = $1 and m.conversation = $2 and m.id = $4 and f.seq = m.seq and f.concealed is not true

-- name: follow
-- Follow a thread, with everything read, or unfollow it: tenant, conversation, user, seq of the root, following, last seq,
-- now. Of a user, 1000 threads are remembered.
with forgotten as (
    delete from thread_followers k where k.ctid = any(array(
        select o.ctid from thread_followers o
        where o.user_id = $3 and o.tenant = $1 and not exists (
            select 1 from thread_followers k
            where k.user_id = $3 and k.conversation = $2 and k.root_seq = $4 and k.tenant = $1
        )
        order by o.followed_at desc offset 999 limit 10
    ))
)
insert into thread_followers (tenant, user_id, conversation, root_seq, following, read_seq, followed_at)
values ($1, $3, $2, $4, $5, $6, $7)
on conflict (user_id, conversation, root_seq, tenant) do update
set following = $5, read_seq = case when thread_followers.following then thread_followers.read_seq else excluded.read_seq end,
    followed_at = case when thread_followers.following then thread_followers.followed_at else excluded.followed_at end,
    changed = pg_current_xact_id()
where thread_followers.following <> $5

-- name: read
-- Move the position in a thread that the user follows forward: tenant, conversation, user, seq of the root, seq. Null if it
-- does not move.
update thread_followers k set read_seq = $5, changed = pg_current_xact_id()
where k.tenant = $1 and k.conversation = $2 and k.user_id = $3 and k.root_seq = $4 and k.following and k.read_seq < $5
returning k.read_seq

-- name: state
-- A thread as the user sees it: tenant, conversation, user, seq of the root.
select f.*, coalesce(k.following, false) as following, coalesce(k.read_seq, 0) as read_seq,
    case when k.following then count_unread_replies($1, $2, $4, $3, k.read_seq) else 0 end as unread
from messages_for($1, $2, $3) as f
left join thread_followers k on k.tenant = $1 and k.conversation = $2 and k.user_id = $3 and k.root_seq = $4
where f.seq = $4

-- name: history_before
-- The newest replies before a seq, newest first; all when the seq is null: tenant, conversation, user, seq of the root, seq,
-- limit.
select f.* from thread_replies r
cross join lateral messages_for($1, $2, $3) as f
where r.tenant = $1 and r.conversation = $2 and r.root_seq = $4 and r.seq < coalesce($5::bigint, 9223372036854775807)
    and f.seq = r.seq
order by r.seq desc limit $6

-- name: history_after
-- The oldest replies after a seq: tenant, conversation, user, seq of the root, seq, limit.
select f.* from thread_replies r
cross join lateral messages_for($1, $2, $3) as f
where r.tenant = $1 and r.conversation = $2 and r.root_seq = $4 and r.seq > $5::bigint and f.seq = r.seq
order by r.seq limit $6

-- name: page
-- Threads that the user follows, the one with the latest reply first, then those that changed since the horizon of the
-- first page, by conversation and root: tenant, user, unread only, the last one before the page (activity, conversation,
-- seq of the root; null: from the first), horizon (null: this is the first page), whether all but those that moved are
-- listed, the last one of those (conversation, seq of the root), limit. The same method as conversation.list.
with followed as materialized (
    select k.conversation, k.root_seq, k.read_seq, coalesce((m.replies ->> 'last_at')::bigint, m.created_at) as active_at,
        c.changed >= $7::text::xid8 or k.changed >= $7::text::xid8 as has_changed
    from thread_followers k
    join messages m on m.tenant = k.tenant and m.conversation = k.conversation and m.seq = k.root_seq
    join conversations c on c.tenant = k.tenant and c.id = k.conversation
    where k.tenant = $1 and k.user_id = $2 and k.following
        and (not $3::boolean or (m.replies ->> 'last_seq')::bigint > k.read_seq)
),
candidates as (
    (
        select false as has_moved, w.* from followed w
        where not $8::boolean
            and ($5::uuid is null or (w.active_at, w.conversation, w.root_seq) < ($4::bigint, $5::uuid, $6::bigint))
        order by w.active_at desc, w.conversation desc, w.root_seq desc
        limit $11
    )
    union all
    (
        select true, w.* from followed w
        where w.has_changed and ($9::uuid is null or (w.conversation, w.root_seq) > ($9::uuid, $10::bigint))
        order by w.conversation, w.root_seq
        limit $11
    )
)
select p.has_moved, p.conversation::text as conversation_id, p.root_seq, p.active_at,
    pg_snapshot_xmin(pg_current_snapshot())::text as horizon, s.*, true as following, p.read_seq,
    case when s.seq is not null then count_unread_replies($1, p.conversation, p.root_seq, $2, p.read_seq) end as unread
from candidates p
left join lateral (select f.* from messages_for($1, p.conversation, $2) as f where f.seq = p.root_seq) as s on true

-- name: export
-- Threads that the user follows or has unfollowed: tenant, user, limit, after this one (conversation, seq of the root).
select k.conversation::text, m.id::text as thread, k.root_seq, k.following, k.read_seq, k.followed_at
from thread_followers k
join messages m on m.tenant = k.tenant and m.conversation = k.conversation and m.seq = k.root_seq
where k.tenant = $1 and k.user_id = $2 and (k.conversation, k.root_seq) > ($4::uuid, $5::bigint)
order by k.conversation, k.root_seq limit $3

-- name: forget
-- Tenant, user.
delete from thread_followers where tenant = $1 and user_id = $2
