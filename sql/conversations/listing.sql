-- name: page
-- Candidates for a page of the conversations of a user: tenant, user, kind, archived, hidden, label (null: any), pinned
-- ones first, the last one before the page (pinned, activity, id; null: from the first), horizon of the first page
-- (null: this is the first), whether all but those that moved are listed, the last one of those (null: from the first),
-- unread (null: any), limit.
--
-- First the conversations in their order, then those that changed since the horizon, by id: they may have moved past
-- the position. `matches`: whether it is unread as requested, which is counted for the candidates only.
with filtered as materialized (
    select b.tenant, b.user_id, b.conversation, b.read_seq, c.seq, c.active_at, $7::boolean and b.pinned_at is not null as is_pinned,
        c.changed >= $11::text::xid8 or b.changed >= $11::text::xid8 as has_changed
    from members b
    join conversations c on c.tenant = b.tenant and c.id = b.conversation
    where b.tenant = $1 and b.user_id = $2
        and ($3::text is null or c.kind = $3)
        and ($4::boolean is null or b.archived = $4)
        and ($5::boolean is null or coalesce(b.hidden_seq >= c.seq, false) = $5)
        and ($6::text is null or $6 = any(b.labels))
        and ($14::boolean is distinct from true or c.seq > b.read_seq)
),
candidates as materialized (
    (
        select false as has_moved, f.* from filtered f
        where not $12::boolean
            and ($10::uuid is null or (f.is_pinned, f.active_at, f.conversation) < ($8::boolean, $9::bigint, $10::uuid))
        order by f.is_pinned desc, f.active_at desc, f.conversation desc
        limit $15
    )
    union all
    (
        select true, f.* from filtered f
        where f.has_changed and ($13::uuid is null or f.conversation > $13::uuid)
        order by f.conversation
        limit $15
    )
)
select p.has_moved, p.conversation::text as id, p.is_pinned, p.active_at, pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
    case when $14::boolean is null then true else has_unread(p.tenant, p.conversation, p.user_id, p.read_seq) = $14 end as matches
from candidates p
