-- As in 0043. The first receipt that other members are told shows the read position also where it moved while the group had more
-- than messages.receipts_up_to members. `read_unshared`: read_seq has moved and the other members were not told; it replaces the
-- comparison with shown_read_seq. Of rows from before nobody knows: their next receipt tells the read position once more.
alter table members add column read_unshared boolean not null default true;
alter table members alter column read_unshared set default false;

-- outcome: 'new', 'own' (moved, and only that member's devices are told), 'same' (nothing moved, or it moved with another one of the
-- batch), 'not_found' (not a member, or no such message).
create or replace function advance_receipts(
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
        select u.*, c.seq as last_seq, c.rev as last_rev, c.blocked, c.members <= u.up_to and not c.blocked as shared,
            b.delivered_seq as old_delivered, b.read_seq as old_read,
            case when b.read_unshared and c.members <= u.up_to and not c.blocked then 0 else b.read_seq end as told_read,
            b.read_seq is not null and greatest(u.delivered, u.read) <= c.seq as valid
        from unnest(p_tenant, p_conversation, p_user, p_delivered, p_read, p_up_to)
            with ordinality as u (tenant, conversation, user_id, delivered, read, up_to, ord)
        left join lateral (
            select c.seq, c.rev, c.members, c.blocked from conversations c where c.tenant = u.tenant and c.id = u.conversation limit 1
        ) as c on true
        left join lateral (
            select b.delivered_seq, b.read_seq, b.read_unshared from members b
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
            shown_delivered_seq = case when m.blocked then coalesce(b.shown_delivered_seq, m.old_delivered) end,
            shown_read_seq = case when m.blocked then coalesce(b.shown_read_seq, m.old_read) end,
            read_unshared = not m.shared and (b.read_unshared or m.new_read > m.old_read),
            rev = case when m.shared then m.last_rev + m.n else b.rev end,
            changed = case when m.shared then b.changed else pg_current_xact_id() end
        from numbered m
        where m.moves and b.tenant = m.tenant and b.conversation = m.conversation and b.user_id = m.user_id
    )
    select t.ord,
        case when not t.valid then 'not_found' when not t.moves then 'same' when t.shared then 'new' else 'own' end,
        t.new_delivered, t.new_read, case when t.moves and t.shared then (t.last_rev + t.n)::bigint end, t.last_seq,
        case when t.moves and t.new_read > t.told_read then unread_of(t.tenant, t.conversation, t.user_id, t.new_read) end,
        case when t.moves and t.new_read > t.told_read then mentions_of(t.tenant, t.conversation, t.user_id, t.new_read) end
    from numbered t
    order by t.last_rev + t.n, t.ord;
end $$;
