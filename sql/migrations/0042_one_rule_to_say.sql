-- As in 0012. Who may send a message is what refusal_to_say (0031) says, which is the only place of that rule.
--
-- outcome: 'new', 'duplicate' (the first result again), 'not_found' (no such conversation for this sender), 'conflict'
-- (the client_id was used in another conversation), 'blocked', 'forbidden' (only announcements, or a mention of everybody, by somebody
-- who may not), 'slow' (`created_at` says how many milliseconds it is too early). What is known already is never refused: who sends again gets the first answer.
create or replace function append_messages(
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
            select coalesce(
                refusal_to_say(b.role, c.kind, c.announce, c.blocked, s.extra like '%"everybody"%'),
                case when early[s.ord] is not null then 'slow' end
            ) as denied
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
