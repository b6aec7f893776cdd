-- Receipts: what one member sends at the same time is one change, and in a large group it is that member's own matter. Members: where the
-- conversation stood when they came in.

-- Everything up to `joined_seq` and `joined_rev` was there before this member came; 0 for who was there from the start.
alter table members
    add column joined_seq bigint not null default 0,
    add column joined_rev bigint not null default 0;

-- A conversation as one member sees it: as in 0011, and where that member came in.
create or replace view own_conversations as
select
    b.tenant, b.user_id, c.id as conversation, c.changed, b.changed as own_changed,
    c.id::text as id, c.kind, c.title, c.description, c.picture::text as picture, c.announce, c.disappear, c.slow_seconds, c.joining, c.history,
    c.members as member_count, c.seq, c.rev, c.created_at, c.info_rev,
    b.role, b.first_seq, b.first_rev, b.read_seq, b.delivered_seq,
    unread_of(b.tenant, b.conversation, b.user_id, b.read_seq) as unread,
    mentions_of(b.tenant, b.conversation, b.user_id, b.read_seq) as mentions,
    b.muted_until, b.archived, b.pinned_at, coalesce(b.hidden_seq >= c.seq, false) as hidden, b.draft, b.draft_at, b.notify,
    b.joined_seq, b.joined_rev
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation;

-- Beside the one of 0012, which nodes that are not upgraded yet go on calling.
--
-- Receipts move forward only: a position never goes back, never passes the last message, and read implies delivered. All valid ones of
-- one member are one change, and the first of them stands for it. In a conversation of more than `p_up_to` members it takes no rev,
-- because nobody else is told: ten thousand members who each tell ten thousand others of each message are more than anybody can serve.
-- Then it is private state, like a draft.
-- outcome: 'new', 'own' (moved, and only that member's devices are told), 'same' (nothing moved, or it moved with another one of the
-- batch), 'not_found' (not a member, or no such message).
create function advance_receipts(
    p_tenant text[], p_conversation uuid[], p_user uuid[], p_delivered bigint[], p_read bigint[], p_up_to integer[]
) returns table (ord bigint, outcome text, delivered_seq bigint, read_seq bigint, rev bigint, seq bigint, unread bigint, mentions bigint)
language plpgsql volatile as $$
#variable_conflict use_column
begin
    perform 1 from conversations c
    where (c.tenant, c.id) in (select * from unnest(p_tenant, p_conversation))
    order by c.tenant, c.id
    for no key update;

    return query
    with asked as materialized (
        select u.*, c.seq as last_seq, c.rev as last_rev, c.members <= u.up_to as shared,
            b.delivered_seq as old_delivered, b.read_seq as old_read,
            b.read_seq is not null and greatest(u.delivered, u.read) <= c.seq as valid
        from unnest(p_tenant, p_conversation, p_user, p_delivered, p_read, p_up_to)
            with ordinality as u (tenant, conversation, user_id, delivered, read, up_to, ord)
        left join lateral (
            select c.seq, c.rev, c.members from conversations c where c.tenant = u.tenant and c.id = u.conversation limit 1
        ) as c on true
        left join lateral (
            select b.delivered_seq, b.read_seq from members b
            where b.tenant = u.tenant and b.conversation = u.conversation and b.user_id = u.user_id limit 1
        ) as b on true
    ),
    folded as materialized (
        select a.*, a.valid and row_number() over (same order by a.ord) = 1 as leads,
            greatest(a.old_delivered, max(greatest(a.delivered, a.read)) over same) as new_delivered,
            greatest(a.old_read, max(a.read) over same) as new_read
        from asked a
        window same as (partition by a.valid, a.tenant, a.conversation, a.user_id)
    ),
    judged as materialized (
        select f.*, f.leads and (f.new_delivered > f.old_delivered or f.new_read > f.old_read) as moves from folded f
    ),
    numbered as materialized (
        select j.*, sum((j.moves and j.shared)::int) over (partition by j.tenant, j.conversation order by j.ord) as n from judged j
    ),
    advanced as (
        update conversations c set rev = c.rev + g.n, changed = pg_current_xact_id()
        from (select tenant, conversation, max(n) as n from numbered where moves and shared group by 1, 2) g
        where c.tenant = g.tenant and c.id = g.conversation
    ),
    updated as (
        update members b set delivered_seq = m.new_delivered, read_seq = m.new_read,
            rev = case when m.shared then m.last_rev + m.n else b.rev end,
            changed = case when m.shared then b.changed else pg_current_xact_id() end
        from numbered m
        where m.moves and b.tenant = m.tenant and b.conversation = m.conversation and b.user_id = m.user_id
    )
    select t.ord,
        case when not t.valid then 'not_found' when not t.moves then 'same' when t.shared then 'new' else 'own' end,
        t.new_delivered, t.new_read, case when t.moves and t.shared then (t.last_rev + t.n)::bigint end, t.last_seq,
        case when t.moves and t.new_read > t.old_read then unread_of(t.tenant, t.conversation, t.user_id, t.new_read) end,
        case when t.moves and t.new_read > t.old_read then mentions_of(t.tenant, t.conversation, t.user_id, t.new_read) end
    from numbered t
    order by t.last_rev + t.n, t.ord;
end $$;
