-- Functions of threads. append_messages() calls refused_threads() before it writes and add_thread_replies() after it, and
-- only for batches with replies.

-- Why a user cannot reply in the thread of a message, '' if they can: 'no_thread' (no message that the user can see),
-- 'closed_thread' (it is deleted, a reply itself, or a system message).
create or replace function thread_refusal(p_tenant text, p_conversation uuid, p_user uuid, p_root uuid) returns text
language sql stable as $$
    select coalesce((
        select case
            when m.deleted_at is not null or (m.expires_at is not null and m.expires_at <= now_ms()) or m.system is not null
                or m.extra ? 'thread' then 'closed_thread'
            else ''
        end
        from messages m
        where m.conversation = p_conversation and m.id = p_root and m.tenant = p_tenant
            and (p_user = '00000000-0000-0000-0000-000000000000' or m.seq >= (
                select b.first_seq from members b
                where b.conversation = p_conversation and b.user_id = p_user and b.tenant = p_tenant
            ))
            and not is_hidden(p_tenant, p_conversation, p_user, m.seq)
            and not is_concealed(p_tenant, p_conversation, p_user, m.seq)
    ), 'no_thread')
$$;

-- thread_refusal() of each entry of a batch that is a reply, null for the others. Null if none is a reply.
create or replace function refused_threads(p_tenant text[], p_conversation uuid[], p_sender uuid[], p_extra text[]) returns text[]
language sql stable as $$
    select case when bool_or(w.refusal is not null) then array_agg(w.refusal order by w.ord) end
    from (
        select s.ord, case
            when s.extra like '%"thread":%'
                then thread_refusal(s.tenant, s.conversation, s.sender, (s.extra::jsonb ->> 'thread')::uuid)
        end as refusal
        from unnest(p_tenant, p_conversation, p_sender, p_extra) with ordinality as s (tenant, conversation, sender, extra, ord)
    ) as w
$$;

-- Note the replies among the messages of a batch, whose conversations are locked: each root gets a `rev` and its new
-- state, once for all of its replies. The author of the root, who replies and who is mentioned follow the thread, unless
-- they have unfollowed it; a reply of one's own follows it again. Of a user, 1000 threads are remembered.
create or replace function add_thread_replies(
    p_tenant text[], p_conversation uuid[], p_id uuid[], p_extra text[], p_now bigint
) returns table (ord bigint, id uuid, seq bigint, rev bigint, replies jsonb)
language sql volatile as $$
    with sent as materialized (
        select s.ord, s.tenant, s.conversation, m.seq, m.sender, m.created_at, s.extra::jsonb -> 'mentions' as mentions,
            r.seq as root_seq, r.id as root, r.sender as author, r.in_match, r.replies
        from unnest(p_tenant, p_conversation, p_id, p_extra) with ordinality as s (tenant, conversation, id, extra, ord)
        cross join lateral (
            select m.seq, m.sender, m.created_at from messages m
            where m.tenant = s.tenant and m.conversation = s.conversation and m.id = s.id limit 1
        ) as m
        cross join lateral (
            select r.seq, r.id, r.sender, r.in_match, r.replies from messages r
            where r.tenant = s.tenant and r.conversation = s.conversation and r.id = (s.extra::jsonb ->> 'thread')::uuid limit 1
        ) as r
        where s.extra like '%"thread":%'
    ),
    -- None that an earlier attempt has committed.
    inserted as (
        insert into thread_replies (tenant, conversation, root_seq, seq, sender)
        select s.tenant, s.conversation, s.root_seq, s.seq, s.sender from sent s
        on conflict do nothing
        returning tenant, conversation, seq
    ),
    added as materialized (
        select s.* from sent s
        join inserted i on i.tenant = s.tenant and i.conversation = s.conversation and i.seq = s.seq
    ),
    roots as materialized (
        select a.tenant, a.conversation, a.root_seq, a.root, a.in_match, a.replies, a.author, max(a.ord) as ord, count(*) as n,
            max(a.seq) as last_seq, max(a.created_at) as last_at,
            row_number() over (partition by a.tenant, a.conversation order by a.root_seq) as place
        from added a
        group by a.tenant, a.conversation, a.root_seq, a.root, a.in_match, a.replies, a.author
    ),
    counters as (
        update conversations c set rev = c.rev + g.n, changed = pg_current_xact_id()
        from (select r.tenant, r.conversation, count(*) as n from roots r group by 1, 2) as g
        where c.tenant = g.tenant and c.id = g.conversation
        returning c.tenant, c.id, c.rev - g.n as rev, c.max_first_seq
    ),
    new_roots as materialized (
        select r.*, c.rev + r.place as rev, r.root_seq >= c.max_first_seq as is_visible, jsonb_build_object(
            'count', coalesce((r.replies ->> 'count')::bigint, 0) + r.n, 'last_seq', r.last_seq, 'last_at', r.last_at,
            'participants', (
                select jsonb_agg(p.id order by p.place) from (
                    select w.id, min(w.place) as place from (
                        select o.id, o.place from jsonb_array_elements_text(r.replies -> 'participants') with ordinality as o (id, place)
                        union all
                        select a.sender::text, 10 + a.ord from added a
                        where a.tenant = r.tenant and a.conversation = r.conversation and a.root_seq = r.root_seq
                    ) as w
                    group by w.id order by 2 limit 10
                ) as p
            )
        ) as new_replies
        from roots r
        join counters c on c.tenant = r.tenant and c.id = r.conversation
    ),
    updated_roots as (
        update messages m set rev = n.rev, replies = n.new_replies
        from new_roots n
        where m.tenant = n.tenant and m.conversation = n.conversation and m.seq = n.root_seq
    ),
    repliers as materialized (
        select a.tenant, a.conversation, a.root_seq, a.sender as user_id, max(a.seq) as seq from added a group by 1, 2, 3, 4
    ),
    others as materialized (
        select w.tenant, w.conversation, w.root_seq, w.user_id, min(w.seq) as seq from (
            select r.tenant, r.conversation, r.root_seq, r.author as user_id, r.root_seq as seq from roots r
            union all
            select a.tenant, a.conversation, a.root_seq, n.id::uuid, a.seq - 1 from added a
            cross join lateral jsonb_array_elements_text(a.mentions) as n (id)
        ) as w
        where not exists (
            select 1 from repliers p
            where p.tenant = w.tenant and p.conversation = w.conversation and p.root_seq = w.root_seq and p.user_id = w.user_id
        )
        group by 1, 2, 3, 4
    ),
    new_followers as materialized (
        select f.* from (select p.* from repliers p union all select o.* from others o) as f
        where not exists (
            select 1 from thread_followers k
            where k.user_id = f.user_id and k.conversation = f.conversation and k.root_seq = f.root_seq and k.tenant = f.tenant
        ) and exists (
            select 1 from members b where b.conversation = f.conversation and b.user_id = f.user_id and b.tenant = f.tenant
        )
    ),
    forgotten as (
        delete from thread_followers k where k.ctid = any(array(
            select x.ctid from (select distinct f.tenant, f.user_id from new_followers f) as u
            cross join lateral (
                select k.ctid from thread_followers k
                where k.user_id = u.user_id and k.tenant = u.tenant
                order by k.followed_at desc offset 999 limit 10
            ) as x
        ))
    ),
    followed as (
        insert into thread_followers (tenant, user_id, conversation, root_seq, following, read_seq, followed_at)
        select f.tenant, f.user_id, f.conversation, f.root_seq, true, f.seq, p_now from new_followers f
    ),
    followed_again as (
        update thread_followers k set following = true, read_seq = p.seq, changed = pg_current_xact_id()
        from repliers p
        where k.user_id = p.user_id and k.conversation = p.conversation and k.root_seq = p.root_seq and k.tenant = p.tenant
            and not k.following
    )
    select n.ord, n.root, case when n.is_visible then n.root_seq end, n.rev,
        shown_replies(n.tenant, n.conversation, n.in_match, n.new_replies)
    from new_roots n
    order by n.rev
$$;

-- The number of unread replies in a thread: those of others after a position that are not deleted, expired or hidden. It
-- counts up to 1000.
create or replace function count_unread_replies(
    p_tenant text, p_conversation uuid, p_root bigint, p_user uuid, p_read bigint
) returns bigint
language sql stable as $$
    select count(*) from (
        select 1 from thread_replies r
        where r.conversation = p_conversation and r.root_seq = p_root and r.seq > p_read and r.tenant = p_tenant
            and r.sender <> p_user and not r.is_deleted
            and (
                select x.expires_at is null or x.expires_at > now_ms() from messages x
                where x.conversation = p_conversation and x.seq = r.seq and x.tenant = p_tenant
            )
            and not is_hidden(p_tenant, p_conversation, p_user, r.seq)
        order by r.seq limit 1000
    ) as n
$$;
