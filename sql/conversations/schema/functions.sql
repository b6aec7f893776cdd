-- Functions, views and triggers of conversations. `chatd migrate` applies this file whenever it has changed.
--
-- First what users see: counters, conversations, members, messages. Then the statements of the message log, which
-- write.

-- Whether a user has hidden a message from themselves.
create or replace function is_hidden(p_tenant text, p_conversation uuid, p_user uuid, p_seq bigint) returns boolean
language sql stable as $$
    select exists (
        select 1 from marks k
        where k.user_id = p_user and k.conversation = p_conversation and k.seq = p_seq and k.tenant = p_tenant and k.hidden
    )
$$;

-- Whether a user is a bot that receives only what concerns it here: of groups, but not of its direct conversations.
create or replace function is_restricted(p_tenant text, p_conversation uuid, p_user uuid) returns boolean
language sql stable as $$
    select coalesce((
        select u.bot and u.bot_reads is distinct from 'all' from users u where u.id = p_user and u.tenant = p_tenant
    ), false) and coalesce((
        select c.kind <> 'direct' from conversations c where c.id = p_conversation and c.tenant = p_tenant
    ), true)
$$;

-- Whether a message concerns a bot: its own ones, and of people the commands for it, mentions of it, and replies to its
-- messages, also in a thread that it has begun; and what the system says. It stays true of an edited command, and not of
-- a mention that an edit has removed.
create or replace function concerns(p_tenant text, p_conversation uuid, p_bot uuid, p_seq bigint) returns boolean
language sql stable as $$
    select exists (
        select 1 from messages m
        where m.conversation = p_conversation and m.seq = p_seq and m.tenant = p_tenant and (
            m.sender = p_bot
            or m.system is not null
            or m.sender = '00000000-0000-0000-0000-000000000000'
            or (
                (
                    m.extra #>> '{command,bot}' = p_bot::text
                    or m.extra -> 'mentions' ? p_bot::text
                    or exists (
                        select 1 from messages q
                        where q.conversation = p_conversation and q.tenant = p_tenant and q.sender = p_bot
                            and (q.id = m.reply_to or q.id = (m.extra ->> 'thread')::uuid)
                    )
                )
                and not exists (select 1 from users u where u.id = m.sender and u.tenant = p_tenant and u.bot)
            )
        )
    )
$$;

-- Whether a member gets only the place of a message, without its content: a bot that it does not concern.
create or replace function is_concealed(p_tenant text, p_conversation uuid, p_user uuid, p_seq bigint) returns boolean
language sql stable as $$
    select is_restricted(p_tenant, p_conversation, p_user) and not concerns(p_tenant, p_conversation, p_user, p_seq)
$$;

-- The number of messages after a position that count as unread: those of others that are not deleted, expired, hidden
-- or system messages. It counts up to 1000, in the next 5000 messages. Those are a range of `seq`, which has no gaps:
-- with an open end Postgres may read all of a large conversation. The hidden messages are read once; a call of
-- is_hidden() for each message is ten times slower.
create or replace function count_unread(p_tenant text, p_conversation uuid, p_user uuid, p_read bigint) returns bigint
language sql stable as $$
    select count(*) from (
        select 1 from messages x
        where x.conversation = p_conversation and x.tenant = p_tenant and x.seq > p_read and x.seq <= p_read + 5000
            and x.sender <> p_user and x.deleted_at is null and x.system is null
            and (x.expires_at is null or x.expires_at > now_ms())
            and x.seq not in (
                select k.seq from marks k
                where k.user_id = p_user and k.conversation = p_conversation and k.seq > p_read and k.seq <= p_read + 5000
                    and k.tenant = p_tenant and k.hidden
            )
        order by x.seq limit 1000
    ) as n
$$;

-- Whether a member has unread messages after a position: whether count_unread() is not 0.
create or replace function has_unread(p_tenant text, p_conversation uuid, p_user uuid, p_read bigint) returns boolean
language sql stable as $$
    select exists (
        select 1 from messages x
        where x.conversation = p_conversation and x.tenant = p_tenant and x.seq > p_read and x.seq <= p_read + 5000
            and x.sender <> p_user and x.deleted_at is null and x.system is null
            and (x.expires_at is null or x.expires_at > now_ms())
            and not is_hidden(p_tenant, p_conversation, p_user, x.seq)
        order by x.seq limit 1
    )
$$;

-- The number of messages after a position that mention the user, or all members. Each message is looked up by itself:
-- with a join, Postgres may read all of a large conversation for one mention.
create or replace function count_unread_mentions(p_tenant text, p_conversation uuid, p_user uuid, p_read bigint) returns bigint
language sql stable as $$
    select least(1000, count(distinct n.seq)) from (
        (
            select m.seq from mentions m
            where m.conversation = p_conversation and m.tenant = p_tenant and m.user_id = p_user and m.seq > p_read
            order by m.seq limit 1000
        )
        union all (
            select m.seq from mentions m
            where m.conversation = p_conversation and m.tenant = p_tenant and m.seq > p_read
                and m.user_id = '00000000-0000-0000-0000-000000000000'
            order by m.seq limit 1000
        )
    ) as n
    where (
        select x.sender <> p_user and (x.expires_at is null or x.expires_at > now_ms()) from messages x
        where x.conversation = p_conversation and x.seq = n.seq and x.tenant = p_tenant limit 1
    ) and n.seq not in (
        select k.seq from marks k
        where k.user_id = p_user and k.conversation = p_conversation and k.seq > p_read and k.tenant = p_tenant and k.hidden
    )
$$;

-- Whether a user has another one as a contact: added as one (by the user, by accepting a request, or by keeping a
-- match), or the user has started their direct conversation, or has written one of its last hundred messages.
create or replace function is_contact(p_tenant text, p_user uuid, p_other uuid) returns boolean
language sql stable as $$
    select exists (
        select 1 from contacts k where k.user_id = p_user and k.contact = p_other and k.tenant = p_tenant
    ) or exists (
        select 1 from conversations c
        where c.tenant = p_tenant and c.pair_low = least(p_user, p_other) and c.pair_high = greatest(p_user, p_other)
            and (c.creator = p_user or exists (
                select 1 from (
                    select m.sender, m.system from messages m
                    where m.tenant = c.tenant and m.conversation = c.id
                    order by m.seq desc limit 100
                ) as l
                where l.sender = p_user and l.system is null
            ))
    )
$$;

-- A score that halves each week, at a later time. In milliseconds.
create or replace function decayed_score(p_score double precision, p_scored_at bigint, p_now bigint) returns double precision
language sql immutable parallel safe as $$
    select p_score * power(0.5, least(greatest(p_now - p_scored_at, 0) / (7 * 86400000.0), 100))
$$;

-- A conversation as one member sees it.
create or replace view own_conversations as
select
    b.tenant, b.user_id, c.id as conversation, c.changed, b.changed as own_changed,
    c.id::text as id, c.kind, c.title, c.description, c.picture::text as picture, c.announce, c.disappear, c.slow_seconds, c.joining, c.history,
    c.members as member_count, c.seq, c.rev, c.created_at, c.info_rev,
    b.role, b.first_seq, b.first_rev, b.read_seq, b.delivered_seq,
    count_unread(b.tenant, b.conversation, b.user_id, b.read_seq) as unread,
    count_unread_mentions(b.tenant, b.conversation, b.user_id, b.read_seq) as mentions,
    b.muted_until, b.archived, b.pinned_at, coalesce(b.hidden_seq >= c.seq, false) as hidden, b.draft, b.draft_at, b.notify,
    b.joined_seq, b.joined_rev, c.keep_days, b.alias::text as alias,
    case when c.max_seq is not null then (case when b.user_id = c.pair_low then c.pair_high else c.pair_low end)::text end as requested,
    b.labels::text[] as labels, b.draft_parts
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation;

-- The members of a conversation as one user sees them: other members by the positions that are shown to others (null:
-- all of them). `user` is the alias in a match, of which the profile shows the name only. Filter it by `user_id`, `alias` or `rev`: Postgres inlines the function
-- into the statement.
create or replace function members_for(p_tenant text, p_conversation uuid, p_viewer uuid) returns table (
    user_id uuid, alias uuid, "user" text, name text, role text, delivered_seq bigint, read_seq bigint, joined_at bigint,
    joined_seq bigint, rev bigint, handle text, avatar text, picture_url text, profile_version bigint,
    bot boolean
) language sql stable as $$
    select b.user_id, b.alias, coalesce(b.alias, b.user_id)::text, p.name, b.role,
        case when b.user_id = p_viewer then b.delivered_seq else coalesce(b.shown_delivered_seq, b.delivered_seq) end,
        case when b.user_id = p_viewer then b.read_seq else coalesce(b.shown_read_seq, b.read_seq) end,
        b.joined_at, b.joined_seq, b.rev,
        case when b.alias is null then p.handle end, case when b.alias is null then p.avatar end::text,
        case when b.alias is null then p.picture_url end, case when b.alias is null then p.profile_version else 0 end,
        p.bot
    from members b
    join users p on p.tenant = b.tenant and p.id = b.user_id
    where b.tenant = p_tenant and b.conversation = p_conversation
$$;

-- The id by which the members of a conversation that is or was a match know a user: the alias, or the user id once the
-- match is kept.
create or replace function visible_id(p_tenant text, p_conversation uuid, p_user uuid) returns uuid language sql stable as $$
    select coalesce(
        (
            select coalesce(b.alias, b.user_id) from members b
            where b.conversation = p_conversation and b.user_id = p_user and b.tenant = p_tenant
        ),
        (
            select f.alias from former_members f
            where f.conversation = p_conversation and f.user_id = p_user and f.tenant = p_tenant
        ),
        p_user
    )
$$;

-- The replies to a message, as its members know each other. `replies` is the column of the root.
create or replace function shown_replies(p_tenant text, p_conversation uuid, p_in_match boolean, p_replies jsonb) returns jsonb
language sql stable as $$
    select case
        when p_in_match then jsonb_set(p_replies, '{participants}', (
            select coalesce(jsonb_agg(visible_id(p_tenant, p_conversation, n.id::uuid) order by n.place), '[]')
            from jsonb_array_elements_text(p_replies -> 'participants') with ordinality as n (id, place)
        ))
        else p_replies
    end
$$;

-- A message as all members see it. `quote` is the beginning of the message that it replies to, as that is now. An
-- expired message is shown as deleted from its very millisecond, before the sweep deletes it.
create or replace view message_states as
select
    m.tenant, m.conversation, m.seq, m.rev, m.id::text as id, w.sender, m.client_id,
    case when x.is_expired then null else m.text end as text,
    case when x.is_expired then null else m.attachments end as attachments,
    case when x.is_expired then null else m.reply_to::text end as reply_to,
    m.created_at,
    case when x.is_expired then null else m.meta end as meta,
    case when x.is_expired then null else m.system end as system,
    case when x.is_expired then null else m.reactions end as reactions,
    case when x.is_expired then null else m.edited_at end as edited_at,
    case when x.is_expired then m.expires_at else m.deleted_at end as deleted_at,
    case when x.is_expired then null else m.expires_at end as expires_at,
    case when x.is_expired then null else m.pinned_at end as pinned_at,
    case
        when x.is_expired then null
        when m.in_match and m.extra ? 'mentions' then (
            select jsonb_agg(visible_id(m.tenant, m.conversation, n.id::uuid) order by n.place)
            from jsonb_array_elements_text(m.extra -> 'mentions') with ordinality as n (id, place)
        )
        else m.extra -> 'mentions'
    end as mentions,
    case when x.is_expired then null else (m.extra -> 'everybody')::boolean end as mentions_everybody,
    case
        when x.is_expired then null
        -- The sender's own message from another conversation. For other authors, the id by which the sender knows them
        -- is stored.
        when m.in_match and m.extra -> 'forwarded' ->> 'sender' = m.sender::text
            then jsonb_set(m.extra -> 'forwarded', '{sender}', to_jsonb(w.sender))
        else m.extra -> 'forwarded'
    end as forwarded,
    case when x.is_expired then null else m.extra -> 'poll' end as poll,
    case when x.is_expired then null else m.extra -> 'preview' end as preview,
    case when x.is_expired then null else m.extra -> 'command' end as command,
    case when x.is_expired then null else m.extra -> 'actions' end as actions,
    case when m.reply_to is not null and not x.is_expired then (
        select jsonb_build_object(
            'message', q.id, 'seq', q.seq,
            'sender', case when q.in_match then visible_id(q.tenant, q.conversation, q.sender) else q.sender end,
            'text', case when q.expires_at is null or q.expires_at > now_ms() then left(q.text, 200) end,
            'deleted', q.deleted_at is not null or (q.expires_at is not null and q.expires_at <= now_ms())
        )
        from messages q where q.conversation = m.conversation and q.id = m.reply_to and q.tenant = m.tenant
    ) end as quote,
    -- A tombstone keeps its place in a thread, and the replies to it.
    m.extra ->> 'thread' as thread,
    case when m.replies is not null then shown_replies(m.tenant, m.conversation, m.in_match, m.replies) end as replies
from messages m
cross join lateral (select m.expires_at is not null and m.expires_at <= now_ms() as is_expired) as x
cross join lateral (
    select (case when m.in_match then visible_id(m.tenant, m.conversation, m.sender) else m.sender end)::text as sender
) as w;

-- The columns of messages_for(): a message with the state of one user.
create or replace view own_message_states as
select s.*, null::bigint as starred_at, null::text[] as mine, null::smallint[] as voted, null::boolean as concealed from message_states s;

-- The messages that a member may see; none for other users. Quotes of messages that the member may not see, or has
-- hidden, are left out. A bot gets only the places of messages that do not concern it: without a sender and content. Filter it by `seq` or `rev`, which have an index: Postgres inlines the function into the
-- statement.
create or replace function messages_for(p_tenant text, p_conversation uuid, p_user uuid) returns setof own_message_states
language sql stable as $$
    select
        s.tenant, s.conversation, s.seq, s.rev, s.id,
        case when h.concealed then '00000000-0000-0000-0000-000000000000' else s.sender end,
        case when h.concealed then s.id else s.client_id end,
        case when not h.concealed then s.text end,
        case when not h.concealed then s.attachments end,
        case when not h.concealed then s.reply_to end,
        s.created_at,
        case when not h.concealed then s.meta end,
        case when not h.concealed then s.system end,
        case when not h.concealed then s.reactions end,
        case when not h.concealed then s.edited_at end,
        s.deleted_at,
        case when not h.concealed then s.expires_at end,
        case when not h.concealed then s.pinned_at end,
        case when not h.concealed then s.mentions end,
        case when not h.concealed then s.mentions_everybody end,
        case when not h.concealed then s.forwarded end,
        case when not h.concealed then s.poll end,
        case when not h.concealed then s.preview end,
        case when not h.concealed then s.command end,
        case when not h.concealed then s.actions end,
        case when not h.concealed and s.quote is not null and (s.quote ->> 'seq')::bigint >= (
            select b.first_seq from members b
            where b.conversation = p_conversation and b.user_id = p_user and b.tenant = p_tenant
        ) and not is_hidden(p_tenant, p_conversation, p_user, (s.quote ->> 'seq')::bigint)
            and not ((select is_restricted(p_tenant, p_conversation, p_user))
                and not concerns(p_tenant, p_conversation, p_user, (s.quote ->> 'seq')::bigint))
            then s.quote end,
        case when not h.concealed then s.thread end,
        case when not h.concealed then s.replies end,
        k.starred_at,
        case when s.reactions is not null and not h.concealed then array(
        select r.emoji from reactions r
        where r.conversation = s.conversation and r.seq = s.seq and r.user_id = p_user and r.tenant = s.tenant
        order by r.created_at, r.emoji collate "C"
    ) end,
    case when s.poll is not null and not h.concealed then array(
        select v.option from poll_votes v
        where v.conversation = s.conversation and v.seq = s.seq and v.user_id = p_user and v.tenant = s.tenant
        order by v.option
    ) end,
    nullif(h.concealed, false)
    from message_states s
    left join marks k on k.user_id = p_user and k.conversation = s.conversation and k.seq = s.seq and k.tenant = s.tenant
    -- The offset keeps this one value for a row: otherwise it would be computed for each column.
    cross join lateral (
        select (select is_restricted(p_tenant, p_conversation, p_user)) and not concerns(p_tenant, p_conversation, p_user, s.seq)
            as concealed
        offset 0
    ) as h
    where s.tenant = p_tenant and s.conversation = p_conversation and k.hidden is not true
        and s.seq >= (
            select b.first_seq from members b
            where b.conversation = p_conversation and b.user_id = p_user and b.tenant = p_tenant
        )
$$;

-- The refusal code if a user may not send to a conversation now, else null. The only place of this rule:
-- append_messages() and message.edit use it. The role is null for a user who is not a member. apply_slow_mode() has the
-- rule of slow mode.
create or replace function send_refusal(p_role text, p_kind text, p_announce boolean, p_blocked boolean, p_everybody boolean) returns text
language sql immutable parallel safe as $$
    select case
        when p_role is null then 'not_found'
        when p_blocked then 'blocked'
        when p_role = 'member' and (p_announce or (p_everybody and p_kind = 'group')) then 'forbidden'
    end
$$;

-- Slow mode, for a batch whose conversations are locked. Returns for each entry the milliseconds until the sender may
-- send it, or null if they may send it now; the time of such a message is recorded. A message that is stored already is
-- never refused: its sender gets the first result again. Of several new messages of one sender, the first may be sent.
-- Times are those of the database, because the clocks of nodes differ.
create or replace function apply_slow_mode(p_tenant text[], p_conversation uuid[], p_sender uuid[], p_client_id text[]) returns bigint[]
language plpgsql volatile as $$
declare
    p_now bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
    wait_ms bigint[];
begin
    with requested as materialized (
        select s.*, c.slow_seconds * 1000 as pause_ms, b.last_sent_at,
            c.slow_seconds is not null and b.is_member is not null and k.is_known is null as is_limited
        from unnest(p_tenant, p_conversation, p_sender, p_client_id)
            with ordinality as s (tenant, conversation, sender, client_id, ord)
        left join lateral (
            select c.slow_seconds from conversations c
            where c.tenant = s.tenant and c.id = s.conversation and c.slow_seconds > 0 limit 1
        ) as c on true
        -- Slow mode does not apply to higher roles.
        left join lateral (
            select true as is_member, b.last_sent_at from members b
            where b.tenant = s.tenant and b.conversation = s.conversation and b.user_id = s.sender and b.role = 'member' limit 1
        ) as b on true
        left join lateral (
            select true as is_known from messages m
            where m.tenant = s.tenant and m.sender = s.sender and m.client_id = s.client_id limit 1
        ) as k on true
    ),
    ranked as materialized (
        select a.*, row_number() over same = 1 as is_first,
            -- At most the whole pause, even if the clock was set back.
            least(a.pause_ms, coalesce(a.last_sent_at + a.pause_ms - p_now, 0)) as remaining_ms
        from requested a
        window same as (partition by a.is_limited, a.tenant, a.conversation, a.sender order by a.ord)
    ),
    recorded as (
        update members b set last_sent_at = p_now
        from ranked r
        where r.is_limited and r.is_first and r.remaining_ms <= 0
            and b.tenant = r.tenant and b.conversation = r.conversation and b.user_id = r.sender
    )
    select array_agg(
        case
            when not r.is_limited then null
            when r.remaining_ms > 0 then r.remaining_ms
            when not r.is_first then r.pause_ms
        end order by r.ord
    ) into wait_ms
    from ranked r;
    return wait_ms;
end $$;

-- The entries of a batch, whose conversations are locked, that may not be sent because another user has not accepted
-- the direct conversation yet: those that are new, beyond `max_seq`. Null if there are none.
create or replace function beyond_max_seq(p_tenant text[], p_conversation uuid[], p_sender uuid[], p_client_id text[]) returns boolean[]
language sql stable as $$
    select array_agg(
        coalesce(n.is_limited and n.seq + row_number_of_new > n.max_seq, false) order by n.ord
    )
    from (
        select s.ord, c.seq, c.max_seq, x.is_limited,
            row_number() over (partition by x.is_limited, s.tenant, s.conversation order by s.ord) as row_number_of_new
        from unnest(p_tenant, p_conversation, p_sender, p_client_id)
            with ordinality as s (tenant, conversation, sender, client_id, ord)
        left join lateral (
            select c.seq, c.max_seq from conversations c
            where c.tenant = s.tenant and c.id = s.conversation and c.max_seq is not null limit 1
        ) as c on true
        cross join lateral (
            select c.max_seq is not null and exists (
                select 1 from members b where b.tenant = s.tenant and b.conversation = s.conversation and b.user_id = s.sender
            ) and not exists (
                select 1 from messages m where m.tenant = s.tenant and m.sender = s.sender and m.client_id = s.client_id
            ) as is_limited
        ) as x
    ) as n
$$;

-- The two statements of the group commit. Each takes a batch as arrays and returns one row for each entry; `ord` is the
-- number of the entry in the batch.
--
-- They are plpgsql and volatile, so that each statement in them takes a new snapshot. The first one locks the
-- conversations (in one order everywhere, so that batches do not deadlock); the second one then looks up duplicates and
-- members. A single statement would take its snapshot before it waits for the lock, miss a duplicate that is committed
-- in between, and leave a gap in `seq`.
--
-- Each entry looks up its own rows through an index (lateral, with a limit that keeps the planner from using a join),
-- and a window function numbers them: the cost of an entry does not depend on statistics, which may be of empty tables.

-- Append messages. `outcome`: 'new'; 'duplicate' (stored already: the first result); 'not_found' (no such conversation
-- for this sender); 'conflict' (the client_id was used in another conversation); 'blocked'; 'forbidden' (an
-- announcement, or a mention of all members, without the right); 'slow' (`created_at` is the number of milliseconds
-- until the sender may send); 'requested' (the other user has not accepted the conversation); 'no_thread' and
-- 'closed_thread' (see thread_refusal()). A stored message is never refused. `alias`: the sender's, in a match. The rows
-- are in the order of the entries. No two entries of a batch have the same sender and client_id.
--
-- Each thread with new replies adds a row 'thread' after all others, with the new state of its root: `id`, `seq` (null if
-- not all members may see it), `rev`, `replies`; `ord` is the last reply in this batch.
create or replace function append_messages(
    p_tenant text[], p_conversation uuid[], p_sender uuid[], p_client_id text[], p_id uuid[],
    p_text text[], p_attachments text[], p_reply_to uuid[], p_meta text[], p_extra text[], p_now bigint
) returns table (ord bigint, outcome text, id uuid, seq bigint, rev bigint, created_at bigint, expires_at bigint, alias uuid, replies jsonb)
language plpgsql volatile as $$
#variable_conflict use_column
declare
    -- Whether a conversation is in slow mode, or not accepted yet.
    is_restricted boolean;
    -- Some consumer of the outbox wants to know of new messages of these tenants.
    has_consumers boolean;
    -- See refused_threads(); null if no entry is a reply in a thread.
    thread_refusals text[];
    -- The milliseconds until each entry may be sent, see apply_slow_mode(); null if no conversation is in slow mode.
    wait_ms bigint[];
    -- See beyond_max_seq(); null if all conversations are accepted.
    is_beyond boolean[];
begin
    select bool_or(l.slow_seconds > 0 or l.max_seq is not null), exists (
        select 1 from outbox_interests i where i.type in ('message.created', 'bot.command') and i.tenant = any(p_tenant)
    ) into is_restricted, has_consumers from (
        select c.slow_seconds, c.max_seq from conversations c
        where (c.tenant, c.id) in (select * from unnest(p_tenant, p_conversation))
        order by c.tenant, c.id
        for no key update
    ) as l;
    if is_restricted then
        wait_ms := apply_slow_mode(p_tenant, p_conversation, p_sender, p_client_id);
        is_beyond := beyond_max_seq(p_tenant, p_conversation, p_sender, p_client_id);
    end if;
    if p_extra is not null then
        thread_refusals := refused_threads(p_tenant, p_conversation, p_sender, p_extra);
    end if;

    return query
    with checked as materialized (
        select s.*, k.conversation as stored_in, k.id as stored_id, k.seq as stored_seq, k.rev as stored_rev, k.created_at as stored_at,
            c.seq as last_seq, c.rev as last_rev, b.alias, d.refusal,
            case when c.disappear > 0 then c.disappear * 1000::bigint end as lifetime_ms,
            k.id is null and d.refusal is null as is_new,
            count(*) filter (where k.id is null and d.refusal is null)
                over (partition by s.tenant, s.conversation order by s.ord rows unbounded preceding) as n
        from unnest(
            p_tenant, p_conversation, p_sender, p_client_id, p_id, p_text, p_attachments, p_reply_to, p_meta, p_extra
        ) with ordinality as s (tenant, conversation, sender, client_id, id, text, attachments, reply_to, meta, extra, ord)
        left join lateral (
            select m.conversation, m.id, m.seq, m.rev, m.created_at from messages m
            where m.tenant = s.tenant and m.sender = s.sender and m.client_id = s.client_id limit 1
        ) as k on true
        left join lateral (
            select b.role, b.alias from members b
            where b.tenant = s.tenant and b.conversation = s.conversation and b.user_id = s.sender limit 1
        ) as b on true
        left join lateral (
            select c.seq, c.rev, c.kind, c.announce, c.blocked, c.disappear, c.members from conversations c
            where c.tenant = s.tenant and c.id = s.conversation limit 1
        ) as c on true
        cross join lateral (
            select coalesce(
                case
                    -- The system may send to every conversation that has members.
                    when s.sender = '00000000-0000-0000-0000-000000000000' then case when coalesce(c.members, 0) = 0 then 'not_found' end
                    else send_refusal(b.role, c.kind, c.announce, c.blocked, s.extra like '%"everybody":%')
                end,
                case when wait_ms[s.ord] is not null then 'slow' when is_beyond[s.ord] then 'requested' end,
                nullif(thread_refusals[s.ord], '')
            ) as refusal
        ) as d
    ),
    advanced_counters as (
        update conversations c
        set seq = c.seq + g.n, rev = c.rev + g.n, active_at = p_now, changed = pg_current_xact_id()
        from (select tenant, conversation, max(n) as n from checked where is_new group by 1, 2) g
        where c.tenant = g.tenant and c.id = g.conversation
    ),
    new_messages as (
        insert into messages (
            tenant, conversation, seq, rev, id, sender, client_id, text, attachments, reply_to, meta, extra, created_at, expires_at,
            in_match
        )
        select tenant, conversation, last_seq + n, last_rev + n, id, sender, client_id,
            text, attachments::jsonb, reply_to, meta::jsonb, extra::jsonb, p_now,
            p_now + lifetime_ms, case when alias is not null then true end
        from checked where is_new
    )
    select r.ord,
        case
            when r.is_new then 'new'
            when r.stored_in = r.conversation then 'duplicate'
            when r.stored_in is not null then 'conflict'
            else r.refusal
        end,
        case when r.is_new then r.id else r.stored_id end,
        case when r.is_new then r.last_seq + r.n else r.stored_seq end,
        case when r.is_new then r.last_rev + r.n else r.stored_rev end,
        case when r.is_new then p_now else coalesce(r.stored_at, wait_ms[r.ord]) end,
        case when r.is_new then p_now else r.stored_at end + r.lifetime_ms,
        r.alias,
        null::jsonb
    from checked r
    order by r.ord;

    -- Only entries that were stored have a message with their id: now, or in an earlier attempt whose answer was lost.
    if p_extra is not null then
        insert into mentions (tenant, conversation, user_id, seq)
        select m.tenant, m.conversation, who.id::uuid, m.seq
        from unnest(p_tenant, p_conversation, p_id, p_extra) as s (tenant, conversation, id, extra)
        join messages m on m.tenant = s.tenant and m.conversation = s.conversation and m.id = s.id
        cross join lateral (
            select jsonb_array_elements_text(s.extra::jsonb -> 'mentions') as id
            union select '00000000-0000-0000-0000-000000000000' where s.extra::jsonb ? 'everybody'
        ) as who
        where who.id = '00000000-0000-0000-0000-000000000000' or exists (
            select 1 from members b
            where b.tenant = m.tenant and b.conversation = m.conversation and b.user_id = who.id::uuid
        )
        on conflict do nothing;
        if array_to_string(p_extra, '') like '%"closes_at":%' then
            insert into poll_deadlines (tenant, conversation, seq, closes_at)
            select m.tenant, m.conversation, m.seq, (m.extra #>> '{poll,closes_at}')::bigint
            from unnest(p_tenant, p_conversation, p_id) as s (tenant, conversation, id)
            join messages m on m.tenant = s.tenant and m.conversation = s.conversation and m.id = s.id
            where m.extra -> 'poll' ? 'closes_at' and not m.extra -> 'poll' ? 'closed_at'
            on conflict do nothing;
        end if;
    end if;
    if thread_refusals is not null then
        return query
        select a.ord, 'thread', a.id, a.seq, a.rev, null::bigint, null::bigint, null::uuid, a.replies
        from add_thread_replies(p_tenant, p_conversation, p_id, p_extra, p_now) as a;
    end if;
    if p_attachments is not null then
        insert into upload_uses (tenant, upload, conversation, seq)
        select m.tenant, u.id, m.conversation, m.seq
        from unnest(p_tenant, p_conversation, p_id, p_attachments) as s (tenant, conversation, id, attachments)
        join messages m on m.tenant = s.tenant and m.conversation = s.conversation and m.id = s.id
        cross join lateral jsonb_array_elements(m.attachments) as a
        join uploads u on u.tenant = m.tenant and u.id = (a ->> 'upload')::uuid
        where s.attachments like '%"upload"%' and u.removed_at is null
        -- The sweep of unused files must not delete it at the same time.
        for share of u
        on conflict do nothing;
    end if;
    if has_consumers then
        -- A message that was stored before may have such an id too, if its batch is repeated. A new one was inserted by the
        -- transaction, or the part of it, that has changed its conversation.
        insert into outbox (consumer, tenant, type, key, subject, seq, user_id, at)
        select i.consumer, i.tenant, i.type, n.conversation, n.id, n.seq, n.sender, n.created_at
        from unnest(p_tenant, p_conversation, p_id) as s (tenant, conversation, id)
        cross join lateral (
            select c.xmin as writer from conversations c
            where c.tenant = s.tenant and c.id = s.conversation and c.changed = pg_current_xact_id() limit 1
        ) as c
        cross join lateral (
            select m.conversation, m.id, m.seq, m.sender, m.created_at, m.extra from messages m
            where m.conversation = s.conversation and m.id = s.id and m.tenant = s.tenant and m.xmin = c.writer limit 1
        ) as n
        join outbox_interests i on i.type in ('message.created', 'bot.command') and i.tenant = s.tenant
        where i.type = 'message.created' or n.extra ? 'command'
        order by n.conversation, n.seq, i.type;
    end if;
end $$;

-- Advance receipts. They only move forward: a position never decreases and never passes the last message, and reading
-- implies delivery. The valid receipts of one member are one change, and the first of them returns it. In a
-- conversation of more than `p_up_to` members, and under a block, a change is private to the member, like a draft: it
-- takes no `rev`, and other members get no event. The next shared change sends the read position once more if it has
-- moved privately: then `unread` and `mentions` are returned as well. `outcome`: 'new'; 'own' (moved, an event for the
-- member's own devices only); 'same' (did not move, or moved with another entry of the batch); 'not_found' (not a
-- member, or no such message). `alias`: the member's, in a match.
create or replace function advance_receipts(
    p_tenant text[], p_conversation uuid[], p_user uuid[], p_delivered bigint[], p_read bigint[], p_up_to integer[]
) returns table (ord bigint, outcome text, delivered_seq bigint, read_seq bigint, rev bigint, seq bigint, unread bigint, mentions bigint, alias uuid)
language plpgsql volatile as $$
#variable_conflict use_column
begin
    perform 1 from conversations c
    where (c.tenant, c.id) in (select * from unnest(p_tenant, p_conversation))
    order by c.tenant, c.id
    for no key update;

    return query
    with requested as materialized (
        select u.*, c.seq as last_seq, c.rev as last_rev, c.blocked, c.members <= u.up_to and not c.blocked as is_shared,
            b.delivered_seq as old_delivered, b.read_seq as old_read, b.alias,
            case when b.read_unshared and c.members <= u.up_to and not c.blocked then 0 else b.read_seq end as shared_read,
            b.read_seq is not null and greatest(u.delivered, u.read) <= c.seq as is_valid
        from unnest(p_tenant, p_conversation, p_user, p_delivered, p_read, p_up_to)
            with ordinality as u (tenant, conversation, user_id, delivered, read, up_to, ord)
        left join lateral (
            select c.seq, c.rev, c.members, c.blocked from conversations c where c.tenant = u.tenant and c.id = u.conversation limit 1
        ) as c on true
        left join lateral (
            select b.delivered_seq, b.read_seq, b.read_unshared, b.alias from members b
            where b.tenant = u.tenant and b.conversation = u.conversation and b.user_id = u.user_id limit 1
        ) as b on true
    ),
    merged as materialized (
        select a.*, a.is_valid and row_number() over (same order by a.ord) = 1 as is_first_entry,
            greatest(a.old_delivered, max(greatest(a.delivered, a.read)) over same) as new_delivered,
            greatest(a.old_read, max(a.read) over same) as new_read
        from requested a
        window same as (partition by a.is_valid, a.tenant, a.conversation, a.user_id)
    ),
    compared as materialized (
        select f.*, f.is_first_entry and (f.new_delivered > f.old_delivered or f.new_read > f.old_read) as has_moved from merged f
    ),
    numbered as materialized (
        select j.*, sum((j.has_moved and j.is_shared)::int) over (partition by j.tenant, j.conversation order by j.ord) as n from compared j
    ),
    advanced_counters as (
        update conversations c set rev = c.rev + g.n, changed = pg_current_xact_id()
        from (select tenant, conversation, max(n) as n from numbered where has_moved and is_shared group by 1, 2) g
        where c.tenant = g.tenant and c.id = g.conversation
    ),
    noted as (
        insert into outbox (consumer, tenant, type, key, user_id, at)
        select i.consumer, i.tenant, i.type, m.conversation, m.user_id, (extract(epoch from clock_timestamp()) * 1000)::bigint
        from numbered m
        join outbox_interests i on i.type = 'receipt.updated' and i.tenant = m.tenant
        where m.has_moved
        order by m.conversation, m.ord
    ),
    updated_members as (
        update members b set delivered_seq = m.new_delivered, read_seq = m.new_read,
            shown_delivered_seq = case when m.blocked then coalesce(b.shown_delivered_seq, m.old_delivered) end,
            shown_read_seq = case when m.blocked then coalesce(b.shown_read_seq, m.old_read) end,
            read_unshared = not m.is_shared and (b.read_unshared or m.new_read > m.old_read),
            rev = case when m.is_shared then m.last_rev + m.n else b.rev end,
            changed = case when m.is_shared then b.changed else pg_current_xact_id() end
        from numbered m
        where m.has_moved and b.tenant = m.tenant and b.conversation = m.conversation and b.user_id = m.user_id
    )
    select t.ord,
        case when not t.is_valid then 'not_found' when not t.has_moved then 'same' when t.is_shared then 'new' else 'own' end,
        t.new_delivered, t.new_read, case when t.has_moved and t.is_shared then (t.last_rev + t.n)::bigint end, t.last_seq,
        case when t.has_moved and t.new_read > t.shared_read then count_unread(t.tenant, t.conversation, t.user_id, t.new_read) end,
        case when t.has_moved and t.new_read > t.shared_read then count_unread_mentions(t.tenant, t.conversation, t.user_id, t.new_read) end,
        t.alias
    from numbered t
    order by t.last_rev + t.n, t.ord;
end $$;

-- The epoch of the data. It changes with the database cluster and its timeline (a copy, or a failover that may have
-- lost transactions), with the database, with each table that is dropped and created again, and with the stored value.
create or replace function current_epoch() returns text language sql stable as $$
    select md5(concat_ws('.',
        (select system_identifier from pg_control_system()), (select timeline_id from pg_control_checkpoint()),
        (select oid from pg_database where datname = current_database()),
        'conversations'::regclass::oid, 'messages'::regclass::oid, 'members'::regclass::oid,
        (select value from database_epoch)
    ))
$$;

-- A row that is restored from a dump gets a new value.
create or replace function renew_database_epoch() returns trigger language plpgsql as $$
begin
    new.value := gen_random_uuid();
    return new;
end $$;
create or replace trigger renew before insert on database_epoch for each row execute function renew_database_epoch();

-- The messages that a member could see in all memberships until now, for former_members.visible_seqs. More than 20
-- spans are merged into one, so that the value does not grow with every membership.
create or replace function visible_seqs(p_member members, p_seq bigint) returns int8multirange
language sql immutable as $$
    select case when (select count(*) from unnest(s.spans)) > 20 then int8multirange(range_merge(s.spans)) else s.spans end
    from (
        select coalesce(p_member.earlier_visible_seqs, '{}')
            + int8multirange(int8range(p_member.first_seq, greatest(p_seq + 1, p_member.first_seq))) as spans
    ) as s
$$;
