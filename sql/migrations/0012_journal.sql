-- The two statements of the group commit once more (see 0003 and 0010), for what conversations and messages have become since.

drop function append_messages;
drop function advance_receipts;

-- For a batch whose conversations are locked: who of it may go, which is noted, and how many milliseconds the others are early.
-- What is stored already is never early: it is about to get its first answer again. Of several new messages of one sender the
-- first one goes, and with it those that are the same one again.
create or replace function slow_down(p_tenant text[], p_conversation uuid[], p_sender uuid[], p_client_id text[]) returns bigint[]
language plpgsql volatile as $$
declare
    p_now bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
    early bigint[];
begin
    with asked as materialized (
        select s.*, c.slow_seconds * 1000 as pause, b.last_sent_at,
            c.slow_seconds is not null and b.is_member is not null and k.is_known is null as counts
        from unnest(p_tenant, p_conversation, p_sender, p_client_id)
            with ordinality as s (tenant, conversation, sender, client_id, ord)
        left join lateral (
            select c.slow_seconds from conversations c
            where c.tenant = s.tenant and c.id = s.conversation and c.slow_seconds > 0 limit 1
        ) as c on true
        -- Whoever stands above the members need not wait.
        left join lateral (
            select true as is_member, b.last_sent_at from members b
            where b.tenant = s.tenant and b.conversation = s.conversation and b.user_id = s.sender and b.role = 'member' limit 1
        ) as b on true
        left join lateral (
            select true as is_known from messages m
            where m.tenant = s.tenant and m.sender = s.sender and m.client_id = s.client_id limit 1
        ) as k on true
    ),
    judged as materialized (
        select a.*, row_number() over same = 1 as leads, first_value(a.client_id) over same = a.client_id as is_first,
            -- A clock that was set back makes nobody wait for longer than the pause.
            least(a.pause, coalesce(a.last_sent_at + a.pause - p_now, 0)) as rest
        from asked a
        window same as (partition by a.counts, a.tenant, a.conversation, a.sender order by a.ord)
    ),
    noted as (
        update members b set last_sent_at = p_now
        from judged j
        where j.counts and j.leads and j.rest <= 0
            and b.tenant = j.tenant and b.conversation = j.conversation and b.user_id = j.sender
    )
    select array_agg(
        case when not j.counts then null when j.rest > 0 then j.rest when not j.is_first then j.pause end order by j.ord
    ) into early
    from judged j;
    return early;
end $$;

-- outcome: 'new', 'duplicate' (the first result again), 'not_found' (no such conversation for this sender), 'conflict'
-- (the client_id was used in another conversation), 'blocked', 'forbidden' (only announcements, or a mention of everybody, by somebody
-- who may not), 'slow' (`created_at` says how many milliseconds it is too early). What is known already is never refused: who sends again gets the first answer.
create function append_messages(
    p_tenant text[], p_conversation uuid[], p_sender uuid[], p_client_id text[], p_id uuid[],
    p_text text[], p_attachments text[], p_reply_to uuid[], p_meta text[], p_extra text[], p_now bigint
) returns table (ord bigint, outcome text, id uuid, seq bigint, rev bigint, created_at bigint, expires_at bigint)
language plpgsql volatile as $$
#variable_conflict use_column
declare
    slow boolean;
    -- Of each entry, how many milliseconds it is too early; null where it is not, and all of it null when nothing is slow.
    early bigint[];
begin
    select bool_or(l.slow_seconds > 0) into slow from (
        select c.slow_seconds from conversations c
        where (c.tenant, c.id) in (select * from unnest(p_tenant, p_conversation))
        order by c.tenant, c.id
        for no key update
    ) as l;
    if slow then
        early := slow_down(p_tenant, p_conversation, p_sender, p_client_id);
    end if;

    return query
    with looked as materialized (
        select s.*, k.conversation as known_in, k.id as known_id, k.seq as known_seq, k.rev as known_rev, k.created_at as known_at,
            c.seq as last_seq, c.rev as last_rev, c.disappear, early[s.ord] as early, d.denied,
            k.id is null and d.denied is null as fresh
        from unnest(
            p_tenant, p_conversation, p_sender, p_client_id, p_id, p_text, p_attachments, p_reply_to, p_meta, p_extra
        ) with ordinality as s (tenant, conversation, sender, client_id, id, text, attachments, reply_to, meta, extra, ord)
        left join lateral (
            select m.conversation, m.id, m.seq, m.rev, m.created_at from messages m
            where m.tenant = s.tenant and m.sender = s.sender and m.client_id = s.client_id limit 1
        ) as k on true
        left join lateral (
            select b.role from members b
            where b.tenant = s.tenant and b.conversation = s.conversation and b.user_id = s.sender limit 1
        ) as b on true
        left join lateral (
            select c.seq, c.rev, c.kind, c.announce, c.blocked, c.disappear from conversations c
            where c.tenant = s.tenant and c.id = s.conversation limit 1
        ) as c on true
        cross join lateral (
            select case
                when b.role is null then 'not_found'
                when c.blocked then 'blocked'
                when b.role = 'member' and (c.announce or (s.extra like '%"everybody"%' and c.kind = 'group')) then 'forbidden'
                when early[s.ord] is not null then 'slow'
            end as denied
        ) as d
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
            tenant, conversation, seq, rev, id, sender, client_id, text, attachments, reply_to, meta, extra, created_at, expires_at
        )
        select tenant, conversation, last_seq + n, last_rev + n, id, sender, client_id,
            text, attachments::jsonb, reply_to, meta::jsonb, extra::jsonb, p_now,
            case when disappear > 0 then p_now + disappear * 1000::bigint end
        from numbered where wins
    ),
    mentioned as (
        insert into mentions (tenant, conversation, user_id, seq)
        select r.tenant, r.conversation, who.id::uuid, r.last_seq + r.n
        from numbered r
        cross join lateral (
            select jsonb_array_elements_text(r.extra::jsonb -> 'mentions') as id
            union select '00000000-0000-0000-0000-000000000000' where r.extra::jsonb ? 'everybody'
        ) as who
        where r.wins and r.extra is not null and (
            who.id = '00000000-0000-0000-0000-000000000000' or exists (
                select 1 from members b
                where b.tenant = r.tenant and b.conversation = r.conversation and b.user_id = who.id::uuid
            )
        )
    ),
    used as (
        insert into upload_uses (tenant, upload, conversation, seq)
        select r.tenant, u.id, r.conversation, r.last_seq + r.n
        from numbered r
        cross join lateral jsonb_array_elements(r.attachments::jsonb) as a
        join uploads u on u.tenant = r.tenant and u.id = (a ->> 'upload')::uuid
        where r.wins and r.attachments like '%"upload"%' and u.removed_at is null
        -- So that the sweep of unused files does not take it in this moment.
        for share of u
        on conflict do nothing
    ),
    told as (
        select r.ord, r.conversation, r.id, r.wins, r.denied, r.disappear, r.early,
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
            when t.found_in is null then t.denied
            when t.found_in <> t.conversation then 'conflict'
            when t.wins then 'new'
            else 'duplicate'
        end,
        t.found_id, t.found_seq::bigint, t.found_rev::bigint, coalesce(t.found_at, t.early),
        case when t.disappear > 0 then t.found_at + t.disappear * 1000::bigint end
    from told t
    order by t.found_rev, t.ord;
end $$;

-- Receipts move forward only: a position never goes back, never passes the last message, and read implies delivered.
-- outcome: 'new', 'same' (nothing moved), 'not_found' (not a member, or no such message).
create function advance_receipts(
    p_tenant text[], p_conversation uuid[], p_user uuid[], p_delivered bigint[], p_read bigint[]
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
        case when t.moves and t.new_read > t.old_read then unread_of(t.tenant, t.conversation, t.user_id, t.new_read) end,
        case when t.moves and t.new_read > t.old_read then mentions_of(t.tenant, t.conversation, t.user_id, t.new_read) end
    from numbered t
    order by t.last_rev + t.n, t.ord;
end $$;
