-- The whole messenger: what a conversation, a member and a message can be beyond the first version.
--
-- Two kinds of state, and how each finds its way to somebody who was away. What all members share (messages, members, the title)
-- carries a `rev` of its conversation, and comes through conversation.sync. What is one user's own (drafts, stars, what they have
-- muted or hidden) has no rev, which others would see as a gap: such a row carries the transaction that last changed it, like
-- a conversation, and comes through session.sync.

alter table users
    add column erased_at bigint;

-- `announce`: only those with the right may write. `blocked`: a direct one, and one of the two has blocked the other.
-- `disappear`: seconds after which a message vanishes; 0 never. `keep_days`: older messages are removed; null: as configured.
-- `joining`: closed (members add), invite (by link), request (asks to), open. `history`: whether who joins late sees what was
-- said before. `info_rev`: the rev of the last change of what is in this row and shared. `late_seq`: the highest first_seq of a
-- member, so that a message before it is known not to be for all.
alter table conversations
    add column description text check (length(description) <= 1000),
    add column picture uuid,
    add column announce boolean not null default false,
    add column blocked boolean not null default false,
    add column disappear integer not null default 0 check (disappear between 0 and 31536000),
    add column keep_days integer check (keep_days between 1 and 36500),
    add column joining text not null default 'closed' check (joining in ('closed', 'invite', 'request', 'open')),
    add column history text not null default 'all' check (history in ('all', 'joined')),
    add column info_rev bigint not null default 0,
    add column late_seq bigint not null default 1;

-- `first_seq`: the first message that this member may see; nothing of it has a rev before `first_rev`. From `muted_until` on: the member's own settings.
alter table members
    add column role text not null default 'member' check (role in ('owner', 'admin', 'moderator', 'member')),
    add column first_seq bigint not null default 1,
    add column first_rev bigint not null default 0,
    add column muted_until bigint,
    add column archived boolean not null default false,
    add column pinned_at bigint,
    add column hidden_seq bigint,
    add column draft text check (length(draft) <= 20000),
    add column draft_at bigint,
    add column notify text check (notify in ('all', 'mentions', 'none')),
    add column changed xid8 not null default pg_current_xact_id();
create unique index members_owner on members (conversation, tenant) where role = 'owner';

update members b set role = 'owner' from conversations c
where c.tenant = b.tenant and c.id = b.conversation and c.kind = 'group' and c.creator = b.user_id;

-- Who has left or was removed: a tombstone for those who stay, and for the one who has gone.
create table former_members (
    tenant text not null,
    conversation uuid not null,
    user_id uuid not null,
    rev bigint not null,
    seq bigint not null,
    left_at bigint not null,
    actor uuid,
    changed xid8 not null default pg_current_xact_id(),
    primary key (conversation, user_id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index former_members_rev on former_members (conversation, rev, tenant);
create index former_members_user on former_members (user_id, changed, tenant);

-- `system`: what happened, for a message that nobody wrote. `extra`: who is mentioned, where it was forwarded from.
-- `reactions`: how many, by emoji. A deleted message is a tombstone: its content is gone, its place in the order stays.
alter table messages
    add column system jsonb,
    add column extra jsonb,
    add column reactions jsonb,
    add column edited_at bigint,
    add column deleted_at bigint,
    add column expires_at bigint,
    add column pinned_at bigint,
    add column pinned_by uuid;
create index messages_expiry on messages (expires_at) where expires_at is not null;
create index messages_pinned on messages (conversation, tenant) where pinned_at is not null;

-- What a message said before it was edited.
create table message_edits (
    tenant text not null,
    conversation uuid not null,
    seq bigint not null,
    rev bigint not null,
    text text,
    until bigint not null,
    primary key (conversation, seq, rev, tenant),
    foreign key (conversation, seq, tenant) references messages (conversation, seq, tenant) on delete cascade
);

create table reactions (
    tenant text not null,
    conversation uuid not null,
    seq bigint not null,
    user_id uuid not null,
    emoji text not null check (length(emoji) between 1 and 32),
    created_at bigint not null,
    primary key (conversation, seq, user_id, emoji, tenant),
    foreign key (conversation, seq, tenant) references messages (conversation, seq, tenant) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index reactions_user on reactions (user_id, tenant);

-- Who is mentioned where. The user of all zeros stands for everybody.
create table mentions (
    tenant text not null,
    conversation uuid not null,
    user_id uuid not null,
    seq bigint not null,
    primary key (conversation, user_id, seq, tenant),
    foreign key (conversation, seq, tenant) references messages (conversation, seq, tenant) on delete cascade
);
create index mentions_message on mentions (conversation, seq, tenant);
create index upload_uses_message on upload_uses (conversation, seq, tenant);

-- What one user has done to a message for themselves alone.
create table marks (
    tenant text not null,
    user_id uuid not null,
    conversation uuid not null,
    seq bigint not null,
    starred_at bigint,
    hidden boolean not null default false,
    changed xid8 not null default pg_current_xact_id(),
    primary key (user_id, conversation, seq, tenant),
    foreign key (conversation, seq, tenant) references messages (conversation, seq, tenant) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index marks_message on marks (conversation, seq, tenant);
create index marks_changed on marks (user_id, changed, tenant);
create index marks_starred on marks (user_id, starred_at, tenant) where starred_at is not null;

create table blocks (
    tenant text not null,
    blocker uuid not null,
    blocked uuid not null,
    created_at bigint not null,
    changed xid8 not null default pg_current_xact_id(),
    primary key (blocker, blocked, tenant),
    check (blocker <> blocked),
    foreign key (tenant, blocker) references users (tenant, id) on delete cascade,
    foreign key (tenant, blocked) references users (tenant, id) on delete cascade
);
create index blocks_blocked on blocks (blocked, tenant);

-- Links into a group, by the hash of their secret.
create table invites (
    tenant text not null,
    id uuid not null,
    conversation uuid not null,
    secret_hash bytea not null unique,
    creator uuid not null,
    created_at bigint not null,
    expires_at bigint,
    uses_left integer check (uses_left >= 0),
    revoked_at bigint,
    primary key (id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade,
    foreign key (tenant, creator) references users (tenant, id) on delete cascade
);
create index invites_conversation on invites (conversation, tenant);

create table join_requests (
    tenant text not null,
    conversation uuid not null,
    user_id uuid not null,
    text text check (length(text) <= 500),
    created_at bigint not null,
    primary key (conversation, user_id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);

-- Messages that are to be sent later. `body` is the command as it was given.
create table scheduled_messages (
    tenant text not null,
    id uuid not null,
    conversation uuid not null,
    sender uuid not null,
    client_id text not null,
    body jsonb not null,
    due_at bigint not null,
    failed text,
    created_at bigint not null,
    changed xid8 not null default pg_current_xact_id(),
    primary key (id, tenant),
    unique (sender, client_id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade,
    foreign key (tenant, sender) references users (tenant, id) on delete cascade
);
create index scheduled_messages_due on scheduled_messages (due_at) where failed is null;

-- How somebody wants to be notified and seen. What is null is as configured. `quiet`: hours without notifications.
create table user_settings (
    tenant text not null,
    user_id uuid not null,
    notify text check (notify in ('all', 'mentions', 'none')),
    quiet jsonb,
    show_presence text check (show_presence in ('nobody', 'contacts', 'everybody')),
    last_seen_at bigint,
    changed xid8 not null default pg_current_xact_id(),
    primary key (user_id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);

-- Messages of others after a position that count as unread: not tombstones, not what the system says. Of the next 5000 messages, and
-- up to 1000: whoever asks for it often must not make the server read all of a huge conversation.
create function unread_of(p_tenant text, p_conversation uuid, p_user uuid, p_read bigint) returns bigint
language sql stable as $$
    select least(1000, count(*) filter (where n.sender <> p_user and n.deleted_at is null and n.system is null)) from (
        select x.sender, x.deleted_at, x.system from messages x
        where x.conversation = p_conversation and x.tenant = p_tenant and x.seq > p_read
        order by x.seq limit 5000
    ) as n
$$;

-- Of those, the ones that mention this user, or everybody.
create function mentions_of(p_tenant text, p_conversation uuid, p_user uuid, p_read bigint) returns bigint
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
    where not exists (
        select 1 from messages x
        where x.conversation = p_conversation and x.seq = n.seq and x.tenant = p_tenant and x.sender = p_user
    )
$$;

-- A conversation as one member sees it.
create view own_conversations as
select
    b.tenant, b.user_id, c.id as conversation, c.changed, b.changed as own_changed,
    c.id::text as id, c.kind, c.title, c.description, c.picture::text as picture, c.announce, c.disappear, c.slow_seconds, c.joining, c.history,
    c.members as member_count, c.seq, c.rev, c.created_at, c.info_rev,
    b.role, b.first_seq, b.first_rev, b.read_seq, b.delivered_seq,
    unread_of(b.tenant, b.conversation, b.user_id, b.read_seq) as unread,
    mentions_of(b.tenant, b.conversation, b.user_id, b.read_seq) as mentions,
    b.muted_until, b.archived, b.pinned_at, coalesce(b.hidden_seq >= c.seq, false) as hidden, b.draft, b.draft_at, b.notify
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation;

-- A message as everybody may see it. `quote`: the beginning of what it replies to, as that is now.
create view message_states as
select
    m.tenant, m.conversation, m.seq, m.rev, m.id::text as id, m.sender::text as sender, m.client_id, m.text, m.attachments,
    m.reply_to::text as reply_to, m.created_at, m.meta, m.system, m.reactions, m.edited_at, m.deleted_at, m.expires_at, m.pinned_at,
    m.extra -> 'mentions' as mentions, (m.extra -> 'everybody')::boolean as mentions_everybody, m.extra -> 'forwarded' as forwarded,
    case when m.reply_to is not null then (
        select jsonb_build_object('message', q.id, 'seq', q.seq, 'sender', q.sender, 'text', left(q.text, 200),
            'deleted', q.deleted_at is not null)
        from messages q where q.conversation = m.conversation and q.id = m.reply_to and q.tenant = m.tenant
    ) end as quote
from messages m;

-- And as one member sees it, with what is that one's own.
create view own_message_states as
select s.*, null::bigint as starred_at, null::text[] as mine from message_states s;

-- The messages of a conversation that one member may see; none for who is no member. To be filtered by `seq` or `rev`, through which
-- there is an index: Postgres reads this as if it stood in the statement that uses it.
create function messages_for(p_tenant text, p_conversation uuid, p_user uuid) returns setof own_message_states
language sql stable as $$
    select
        s.tenant, s.conversation, s.seq, s.rev, s.id, s.sender, s.client_id, s.text, s.attachments, s.reply_to, s.created_at, s.meta,
        s.system, s.reactions, s.edited_at, s.deleted_at, s.expires_at, s.pinned_at, s.mentions, s.mentions_everybody, s.forwarded,
        -- Nothing is quoted of what this member may not see.
        case when s.quote is not null and (s.quote ->> 'seq')::bigint >= (
            select b.first_seq from members b
            where b.conversation = p_conversation and b.user_id = p_user and b.tenant = p_tenant
        ) then s.quote end,
        k.starred_at, case when s.reactions is not null then array(
        select r.emoji from reactions r
        where r.conversation = s.conversation and r.seq = s.seq and r.user_id = p_user and r.tenant = s.tenant
        order by r.created_at, r.emoji
    ) end
    from message_states s
    left join marks k on k.user_id = p_user and k.conversation = s.conversation and k.seq = s.seq and k.tenant = s.tenant
    where s.tenant = p_tenant and s.conversation = p_conversation and k.hidden is not true
        and s.seq >= (
            select b.first_seq from members b
            where b.conversation = p_conversation and b.user_id = p_user and b.tenant = p_tenant
        )
$$;
