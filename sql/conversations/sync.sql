-- name: session
-- Conversations of a user that may have changed: tenant, user, epoch and horizon of the cursor, id of the last row,
-- limit, and the number of unread messages that a page may count; `is_cut` if that ends the page earlier. Always at
-- least one row: the present horizon. A cursor of another epoch counts as none. The horizon is read by the same
-- statement, so from the same snapshot as the rows.
with snapshot as (
    select current_epoch() as epoch, pg_snapshot_xmin(pg_current_snapshot()) as horizon
),
cursor_position as (
    select epoch, horizon,
        case when epoch = $3::text then $4::text::xid8 else '0'::xid8 end as since,
        case when epoch = $3::text then $5::uuid else '00000000-0000-0000-0000-000000000000'::uuid end as after
    from snapshot
)
select a.epoch, a.horizon::text as horizon, f.*,
    -- On the first page of a sync with a cursor: memberships that ended, own marks, followed threads, and whether own
    -- settings have changed.
    case when a.is_first_update then array(
        select d.conversation::text from former_members d
        where d.tenant = $1 and d.user_id = $2 and d.changed >= a.since
    ) else '{}' end as left_conversations,
    case when a.is_first_update then array(
        select jsonb_build_object(
            'conversation', k.conversation, 'message', m.id, 'seq', k.seq, 'starred_at', k.starred_at, 'hidden', k.hidden
        )
        from marks k
        join messages m on m.tenant = k.tenant and m.conversation = k.conversation and m.seq = k.seq
        where k.tenant = $1 and k.user_id = $2 and k.changed >= a.since limit 1001
    ) else '{}' end as marks,
    case when a.is_first_update then array(
        select jsonb_build_object(
            'conversation', k.conversation, 'thread', m.id, 'following', k.following, 'read_seq', k.read_seq
        )
        from thread_followers k
        join messages m on m.tenant = k.tenant and m.conversation = k.conversation and m.seq = k.root_seq
        where k.tenant = $1 and k.user_id = $2 and k.changed >= a.since limit 1000
    ) else '{}' end as threads,
    not a.is_first_update or exists (
        select 1 from user_settings s where s.tenant = $1 and s.user_id = $2 and s.changed >= a.since
    ) as own_settings_changed
from (
    select *, since > '0'::xid8 and after = '00000000-0000-0000-0000-000000000000' as is_first_update from cursor_position
) as a
left join lateral (
    select v.*, p.is_cut
    from (
        select n.conversation, n.unread_so_far - n.unread_here as unread_before, max(n.unread_so_far - n.unread_here) over () > $7 as is_cut
        from (
            select l.conversation, l.unread_here, sum(l.unread_here) over (order by l.conversation) as unread_so_far
            from (
                select b.conversation, least(c.seq - b.read_seq, 5000) as unread_here
                from members b
                join conversations c on c.tenant = b.tenant and c.id = b.conversation
                where b.tenant = $1 and b.user_id = $2 and (c.changed >= a.since or b.changed >= a.since)
                    and b.conversation > a.after
                order by b.conversation
                limit $6
            ) as l
        ) as n
    ) as p
    join own_conversations v on v.tenant = $1 and v.user_id = $2 and v.conversation = p.conversation
    where p.unread_before <= $7
    order by v.conversation
) as f on true

-- name: conversation
-- A conversation as the user sees it, if they are a member: tenant, conversation, user.
select v.* from own_conversations v
where v.tenant = $1 and v.conversation = $2 and v.user_id = $3

-- name: messages
-- Messages by their last change: tenant, conversation, user, after this rev, up to this rev, limit.
select f.* from messages_for($1, $2, $3) as f
where f.rev > $4 and f.rev <= $5
order by f.rev limit $6

-- name: members
-- Members by their last change, as a user sees them: tenant, conversation, user, after this rev, up to this rev, limit.
select b.* from members_for($1, $2, $3) as b
where b.rev > $4 and b.rev <= $5
order by b.rev limit $6

-- name: departures
-- Former members by rev: tenant, conversation, after this rev, up to this rev, limit.
select d.user_id::text as user, d.rev, d.left_at, d.actor::text
from former_members d
where d.tenant = $1 and d.conversation = $2 and d.rev > $3 and d.rev <= $4
order by d.rev limit $5
