-- name: session
-- Conversations of a user that may have changed: tenant, user, epoch and horizon of the cursor, id of the last row, limit.
-- Always at least one row: the present horizon. A cursor of another epoch counts as none, wherever it stood.
-- The horizon is read by the same statement, so from the same snapshot as the rows.
with here as (
    select
        s.system_identifier::text || '.' || k.timeline_id::text as epoch,
        pg_snapshot_xmin(pg_current_snapshot()) as horizon
    from pg_control_system() as s cross join pg_control_checkpoint() as k
),
asked as (
    select epoch, horizon,
        case when epoch = $3::text then $4::text::xid8 else '0'::xid8 end as since,
        case when epoch = $3::text then $5::uuid else '00000000-0000-0000-0000-000000000000'::uuid end as after
    from here
)
select
    a.epoch, a.horizon::text as horizon,
    f.id::text, f.kind, f.title, f.seq, f.rev, f.read_seq, f.delivered_seq, f.unread, f.slow_seconds
from asked a
left join lateral (
    select c.id, c.kind, c.title, c.seq, c.rev, b.read_seq, b.delivered_seq, u.unread, c.slow_seconds
    from members b
    join conversations c on c.tenant = b.tenant and c.id = b.conversation
    cross join lateral (
        select count(*) as unread from (
            select 1 from messages x
            where x.tenant = b.tenant and x.conversation = b.conversation
                and x.seq > b.read_seq and x.sender <> b.user_id
            limit 1000
        ) as capped
    ) as u
    where b.tenant = $1 and b.user_id = $2 and c.changed >= a.since and c.id > a.after
    order by c.id
    limit $6
) as f on true

-- name: top
-- The rev of a conversation, when the user is in it: tenant, conversation, user.
select c.rev from conversations c
join members b on b.tenant = c.tenant and b.conversation = c.id
where c.tenant = $1 and c.id = $2 and b.user_id = $3

-- name: messages
-- Messages by their last change: tenant, conversation, after this rev, up to this rev, limit.
select id::text, seq, rev, sender::text, client_id, text, attachments, reply_to::text, created_at, meta
from messages
where tenant = $1 and conversation = $2 and rev > $3 and rev <= $4
order by rev limit $5

-- name: members
-- Members by their last change: tenant, conversation, after this rev, up to this rev, limit.
select b.user_id::text as user, p.name, b.delivered_seq, b.read_seq, b.joined_at, b.rev
from members b
join users p on p.tenant = b.tenant and p.id = b.user_id
where b.tenant = $1 and b.conversation = $2 and b.rev > $3 and b.rev <= $4
order by b.rev limit $5
