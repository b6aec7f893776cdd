-- The two statements of the group commit. Each takes a whole batch as arrays and answers one row per entry, by `ord`.
--
-- They are plpgsql and volatile for a reason: each statement inside sees the world afresh. The first one locks the
-- conversations (in one order everywhere, so that batches never deadlock); only then does the second one look for duplicates
-- and members. A single statement would look before it waits for the lock, miss the duplicate that was committed meanwhile,
-- and leave a hole in `seq`.
--
-- Each entry looks up its own rows through an index (lateral, with a limit that keeps the planner from turning it into a
-- join), and all numbering is by window functions: the cost per entry does not depend on what the planner believes about
-- tables that were empty when it made its plan.

-- outcome: 'new', 'duplicate' (the first result again), 'not_found' (no such conversation for this sender), 'conflict'
-- (the client_id was used in another conversation).
create function append_messages(
    p_tenant text[], p_conversation uuid[], p_sender uuid[], p_client_id text[], p_id uuid[],
    p_text text[], p_attachments text[], p_reply_to uuid[], p_meta text[], p_now bigint
) returns table (ord bigint, outcome text, id uuid, seq bigint, rev bigint, created_at bigint)
language plpgsql volatile as $$
#variable_conflict use_column
begin
    perform 1 from conversations c
    where (c.tenant, c.id) in (select * from unnest(p_tenant, p_conversation))
    order by c.tenant, c.id
    for no key update;

    return query
    with looked as materialized (
        select s.*, k.conversation as known_in, k.id as known_id, k.seq as known_seq, k.rev as known_rev, k.created_at as known_at,
            c.seq as last_seq, c.rev as last_rev, k.id is null and b.is_member is not null as fresh
        from unnest(
            p_tenant, p_conversation, p_sender, p_client_id, p_id, p_text, p_attachments, p_reply_to, p_meta
        ) with ordinality as s (tenant, conversation, sender, client_id, id, text, attachments, reply_to, meta, ord)
        left join lateral (
            select m.conversation, m.id, m.seq, m.rev, m.created_at from messages m
            where m.tenant = s.tenant and m.sender = s.sender and m.client_id = s.client_id limit 1
        ) as k on true
        left join lateral (
            select true as is_member from members b
            where b.tenant = s.tenant and b.conversation = s.conversation and b.user_id = s.sender limit 1
        ) as b on true
        left join lateral (
            select c.seq, c.rev from conversations c where c.tenant = s.tenant and c.id = s.conversation limit 1
        ) as c on true
    ),
    -- Of several entries with one client_id in a batch the first one counts.
    folded as materialized (
        select l.*, l.fresh and row_number() over same = 1 as wins,
            first_value(l.ord) over same as first_ord, first_value(l.id) over same as first_id,
            first_value(l.conversation) over same as first_in
        from looked l
        window same as (partition by l.fresh, l.tenant, l.sender, l.client_id order by l.ord)
    ),
    numbered as materialized (
        select f.*, sum(f.wins::int) over (partition by f.tenant, f.conversation order by f.ord) as n from folded f
    ),
    advanced as (
        update conversations c
        set seq = c.seq + g.n, rev = c.rev + g.n, active_at = p_now, changed = pg_current_xact_id()
        from (select tenant, conversation, max(n) as n from numbered where wins group by 1, 2) g
        where c.tenant = g.tenant and c.id = g.conversation
    ),
    inserted as (
        insert into messages (
            tenant, conversation, seq, rev, id, sender, client_id, text, attachments, reply_to, meta, created_at
        )
        select tenant, conversation, last_seq + n, last_rev + n, id, sender, client_id,
            text, attachments::jsonb, reply_to, meta::jsonb, p_now
        from numbered where wins
    ),
    told as (
        select r.ord, r.conversation, r.id, r.wins,
            case when r.fresh then r.first_in else r.known_in end as found_in,
            case when r.fresh then r.first_id else r.known_id end as found_id,
            case when r.fresh then first_value(r.last_seq + r.n) over same else r.known_seq end as found_seq,
            case when r.fresh then first_value(r.last_rev + r.n) over same else r.known_rev end as found_rev,
            case when r.fresh then p_now else r.known_at end as found_at
        from numbered r
        window same as (partition by r.fresh, r.tenant, r.sender, r.client_id order by r.ord)
    )
    select t.ord,
        case
            when t.found_in is null then 'not_found'
            when t.found_in <> t.conversation then 'conflict'
            when t.wins then 'new'
            else 'duplicate'
        end,
        t.found_id, t.found_seq::bigint, t.found_rev::bigint, t.found_at
    from told t
    order by t.found_rev, t.ord;
end $$;

-- Receipts move forward only: a position never goes back, never passes the last message, and read implies delivered.
-- outcome: 'new', 'same' (nothing moved), 'not_found' (not a member, or no such message).
create function advance_receipts(
    p_tenant text[], p_conversation uuid[], p_user uuid[], p_delivered bigint[], p_read bigint[]
) returns table (ord bigint, outcome text, delivered_seq bigint, read_seq bigint, rev bigint, seq bigint, unread bigint)
language plpgsql volatile as $$
#variable_conflict use_column
begin
    perform 1 from conversations c
    where (c.tenant, c.id) in (select * from unnest(p_tenant, p_conversation))
    order by c.tenant, c.id
    for no key update;

    return query
    with asked as materialized (
        select u.*, c.seq as last_seq, c.rev as last_rev, b.delivered_seq as old_delivered, b.read_seq as old_read,
            greatest(u.delivered, u.read, b.delivered_seq) as new_delivered, greatest(u.read, b.read_seq) as new_read,
            b.read_seq is not null and greatest(u.delivered, u.read) <= c.seq as valid
        from unnest(p_tenant, p_conversation, p_user, p_delivered, p_read)
            with ordinality as u (tenant, conversation, user_id, delivered, read, ord)
        left join lateral (
            select c.seq, c.rev from conversations c where c.tenant = u.tenant and c.id = u.conversation limit 1
        ) as c on true
        left join lateral (
            select b.delivered_seq, b.read_seq from members b
            where b.tenant = u.tenant and b.conversation = u.conversation and b.user_id = u.user_id limit 1
        ) as b on true
    ),
    judged as materialized (
        select a.*, a.valid and (a.new_delivered > a.old_delivered or a.new_read > a.old_read) as moves from asked a
    ),
    numbered as materialized (
        select j.*, sum(j.moves::int) over (partition by j.tenant, j.conversation order by j.ord) as n from judged j
    ),
    advanced as (
        update conversations c set rev = c.rev + g.n, changed = pg_current_xact_id()
        from (select tenant, conversation, max(n) as n from numbered where moves group by 1, 2) g
        where c.tenant = g.tenant and c.id = g.conversation
    ),
    updated as (
        update members b set delivered_seq = m.new_delivered, read_seq = m.new_read, rev = m.last_rev + m.n
        from numbered m
        where m.moves and b.tenant = m.tenant and b.conversation = m.conversation and b.user_id = m.user_id
    )
    select t.ord,
        case when t.moves then 'new' when t.valid then 'same' else 'not_found' end,
        t.new_delivered, t.new_read, case when t.moves then (t.last_rev + t.n)::bigint end, t.last_seq,
        case when t.moves and t.new_read > t.old_read then (
            select count(*) from (
                select 1 from messages x
                where x.tenant = t.tenant and x.conversation = t.conversation
                    and x.seq > t.new_read and x.sender <> t.user_id
                limit 1000
            ) as capped
        ) end
    from numbered t
    order by t.last_rev + t.n, t.ord;
end $$;
