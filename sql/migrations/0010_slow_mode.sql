-- Slow mode: in a conversation with `slow_seconds` a member may send one message in so many seconds.
--
-- It is judged where the conversation's row is locked, so it holds whatever node a message comes from. The time is the
-- database's, because clocks of nodes differ. A conversation without it pays for one comparison in a row that is read anyway:
-- the rest is in a function that is not called, and `last_sent_at` is not kept.

alter table conversations add column slow_seconds integer not null default 0 check (slow_seconds between 0 and 3600);
alter table members add column last_sent_at bigint;

-- For a batch whose conversations are locked: who of it may go, which is noted, and how many milliseconds the others are early.
-- What is stored already is never early: it is about to get its first answer again. Of several new messages of one sender the
-- first one goes, and with it those that are the same one again.
create function slow_down(p_tenant text[], p_conversation uuid[], p_sender uuid[], p_client_id text[]) returns bigint[]
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
        -- Moderators will be left out here, once members have roles.
        left join lateral (
            select true as is_member, b.last_sent_at from members b
            where b.tenant = s.tenant and b.conversation = s.conversation and b.user_id = s.sender limit 1
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

-- As in migration 0003, with one more outcome: 'slow', where `created_at` says how many milliseconds it is too early.
create or replace function append_messages(
    p_tenant text[], p_conversation uuid[], p_sender uuid[], p_client_id text[], p_id uuid[],
    p_text text[], p_attachments text[], p_reply_to uuid[], p_meta text[], p_now bigint
) returns table (ord bigint, outcome text, id uuid, seq bigint, rev bigint, created_at bigint)
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
            c.seq as last_seq, c.rev as last_rev, early[s.ord] as early,
            k.id is null and b.is_member is not null and early[s.ord] is null as fresh
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
        select r.ord, r.conversation, r.id, r.wins, r.early,
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
            when t.early is not null then 'slow'
            when t.found_in is null then 'not_found'
            when t.found_in <> t.conversation then 'conflict'
            when t.wins then 'new'
            else 'duplicate'
        end,
        t.found_id, t.found_seq::bigint, t.found_rev::bigint, coalesce(t.early, t.found_at)
    from told t
    order by t.found_rev, t.ord;
end $$;
