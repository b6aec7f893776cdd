-- The two statements of the group commit. Each takes a whole batch as arrays and answers one row per entry, by `ord`.
--
-- They are plpgsql and volatile for a reason: each statement inside sees the world afresh. The first one locks the
-- conversations (in one order everywhere, so that batches never deadlock); only then does the second one look for duplicates
-- and members. A single statement would look before it waits for the lock, miss the duplicate that was committed meanwhile,
-- and leave a hole in `seq`.

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
    with sent as materialized (
        select u.* from unnest(
            p_tenant, p_conversation, p_sender, p_client_id, p_id, p_text, p_attachments, p_reply_to, p_meta
        ) with ordinality as u (
            tenant, conversation, sender, client_id, id, text, attachments, reply_to, meta, ord
        )
    ),
    known as materialized (
        select s.ord, m.conversation, m.id, m.seq, m.rev, m.created_at
        from sent s join messages m using (tenant, sender, client_id)
    ),
    fresh as materialized (
        select distinct on (s.tenant, s.sender, s.client_id) s.*
        from sent s join members b
            on b.tenant = s.tenant and b.conversation = s.conversation and b.user_id = s.sender
        where s.ord not in (select k.ord from known k)
        order by s.tenant, s.sender, s.client_id, s.ord
    ),
    numbered as materialized (
        select f.*, row_number() over (partition by f.tenant, f.conversation order by f.ord) as n from fresh f
    ),
    advanced as (
        update conversations c
        set seq = c.seq + g.n, rev = c.rev + g.n, active_at = p_now, changed = pg_current_xact_id()
        from (select tenant, conversation, count(*) as n from numbered group by 1, 2) g
        where c.tenant = g.tenant and c.id = g.conversation
        returning c.tenant, c.id as conversation, c.seq - g.n as seq, c.rev - g.n as rev
    ),
    inserted as (
        insert into messages (
            tenant, conversation, seq, rev, id, sender, client_id, text, attachments, reply_to, meta, created_at
        )
        select n.tenant, n.conversation, a.seq + n.n, a.rev + n.n, n.id, n.sender, n.client_id,
            n.text, n.attachments::jsonb, n.reply_to, n.meta::jsonb, p_now
        from numbered n join advanced a using (tenant, conversation)
        returning messages.tenant, messages.conversation, messages.sender, messages.client_id,
            messages.id, messages.seq, messages.rev, messages.created_at
    )
    select s.ord,
        case
            when coalesce(k.conversation, i.conversation) is null then 'not_found'
            when coalesce(k.conversation, i.conversation) <> s.conversation then 'conflict'
            when i.id = s.id then 'new'
            else 'duplicate'
        end,
        coalesce(k.id, i.id), coalesce(k.seq, i.seq), coalesce(k.rev, i.rev), coalesce(k.created_at, i.created_at)
    from sent s
    left join known k on k.ord = s.ord
    left join inserted i using (tenant, sender, client_id)
    order by coalesce(k.rev, i.rev), s.ord;
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
        select u.*, c.seq as last_seq, c.rev as last_rev,
            b.delivered_seq as old_delivered, b.read_seq as old_read,
            greatest(u.delivered, u.read, b.delivered_seq) as new_delivered,
            greatest(u.read, b.read_seq) as new_read
        from unnest(p_tenant, p_conversation, p_user, p_delivered, p_read)
            with ordinality as u (tenant, conversation, user_id, delivered, read, ord)
        join conversations c on c.tenant = u.tenant and c.id = u.conversation
        join members b on b.tenant = u.tenant and b.conversation = u.conversation and b.user_id = u.user_id
        where greatest(u.delivered, u.read) <= c.seq
    ),
    moved as materialized (
        select a.*, a.last_rev + row_number() over (partition by a.tenant, a.conversation order by a.ord) as new_rev
        from asked a where a.new_delivered > a.old_delivered or a.new_read > a.old_read
    ),
    advanced as (
        update conversations c set rev = c.rev + g.n, changed = pg_current_xact_id()
        from (select tenant, conversation, count(*) as n from moved group by 1, 2) g
        where c.tenant = g.tenant and c.id = g.conversation
    ),
    updated as (
        update members b set delivered_seq = m.new_delivered, read_seq = m.new_read, rev = m.new_rev
        from moved m
        where b.tenant = m.tenant and b.conversation = m.conversation and b.user_id = m.user_id
    )
    select o.ord,
        case when m.ord is not null then 'new' when a.ord is not null then 'same' else 'not_found' end,
        a.new_delivered, a.new_read, m.new_rev, a.last_seq,
        case when m.new_read > m.old_read then (
            select count(*) from (
                select 1 from messages x
                where x.tenant = m.tenant and x.conversation = m.conversation
                    and x.seq > m.new_read and x.sender <> m.user_id
                limit 1000
            ) as capped
        ) end
    from generate_series(1::bigint, cardinality(p_tenant)) as o (ord)
    left join asked a on a.ord = o.ord
    left join moved m on m.ord = o.ord
    order by m.new_rev, o.ord;
end $$;
