-- Conversations, their members, and the settings of users about them. Messages are in 0002_messages.sql.
--
-- State that all members share (messages, members, the title) has a `rev`, a number of its conversation, and is
-- synchronised by conversation.sync. State of one user (drafts, stars, mutes, hidden conversations) has no `rev`, which
-- other members would see as a gap; it is synchronised by session.sync.
--
-- `changed` is the transaction that last changed the row. session.sync compares it with the horizon of an earlier
-- snapshot, which, unlike a timestamp or a sequence, does not miss transactions that were still in progress.

-- The values of columns that are seldom written. A check of a table is prepared and evaluated by every update of a row,
-- whichever column it sets; that of a domain only when the column is set. Counters change with every message.
create domain conversation_kind as text check (value in ('direct', 'group', 'match'));
create domain conversation_title as text check (length(value) between 1 and 100);
create domain conversation_description as text check (length(value) <= 1000);
create domain slow_mode_seconds as integer check (value between 0 and 3600);
create domain message_lifetime_seconds as integer check (value between 0 and 31536000);
create domain retention_days as integer check (value between 1 and 36500);
create domain conversation_joining as text check (value in ('closed', 'invite', 'request', 'open'));
create domain conversation_history as text check (value in ('all', 'joined'));
create domain conversation_external_id as text check (octet_length(value) between 1 and 255);
create domain member_role as text check (value in ('owner', 'admin', 'moderator', 'member'));
create domain member_draft as text check (length(value) <= 20000);
create domain member_labels as text[] check (cardinality(value) between 1 and 20);
create domain notify_level as text check (value in ('all', 'mentions', 'none'));
create domain audience as text check (value in ('nobody', 'contacts', 'everybody'));

create table conversations (
    tenant text not null references tenants (id),
    id uuid not null,
    kind conversation_kind not null,
    title conversation_title,
    creator uuid,
    -- The two users of a direct conversation, in order: there is one conversation for each pair.
    pair_low uuid,
    pair_high uuid,
    -- The numbers of the last message and of the last change. Both are advanced under the lock of this row, by the
    -- statement that writes.
    seq bigint not null default 0,
    rev bigint not null default 0,
    members integer not null,
    created_at bigint not null,
    active_at bigint not null,
    changed xid8 not null default pg_current_xact_id(),
    -- Slow mode: seconds between two messages of one member; 0: off.
    slow_seconds slow_mode_seconds not null default 0,
    description conversation_description,
    picture uuid,
    -- Only members with a higher role may send messages.
    announce boolean not null default false,
    -- In a direct conversation: one of the users has blocked the other.
    blocked boolean not null default false,
    -- Seconds after which a message expires; 0: never.
    disappear message_lifetime_seconds not null default 0,
    -- Days after which messages are deleted; null: as configured.
    keep_days retention_days,
    -- closed: members add others. invite: by link. request: a member with the right accepts. open: anyone.
    joining conversation_joining not null default 'closed',
    -- Whether a new member sees all messages, or those since they joined.
    history conversation_history not null default 'all',
    -- The rev of the last change of the shared fields of this row.
    info_rev bigint not null default 0,
    -- The highest first_seq of a member. All members may see a message from this number on.
    max_first_seq bigint not null default 1,
    -- The id of the conversation in the backend of the app.
    external_id conversation_external_id,
    -- All messages up to this number were deleted because of their age. The next sweep starts after it.
    swept_seq bigint not null default 0,
    -- A direct conversation that the other user has not accepted, and is no member of: no messages after this number.
    -- Null once it is accepted, and in all others.
    max_seq bigint,
    primary key (id, tenant),
    unique (pair_low, pair_high, tenant),
    check ((kind = 'direct') = (pair_low is not null and pair_high is not null and pair_low < pair_high))
) with (fillfactor = 70);
create unique index conversations_external_id on conversations (external_id, tenant) where external_id is not null;

create table members (
    tenant text not null,
    conversation uuid not null,
    user_id uuid not null,
    -- The id of this member in a match, for all members including this one. Null elsewhere, and once the match is kept.
    -- Views and functions for users return it in the place of user_id; all other columns contain user ids.
    alias uuid,
    joined_at bigint not null,
    delivered_seq bigint not null default 0,
    read_seq bigint not null default 0,
    rev bigint not null,
    -- The time of the last message in slow mode; not kept outside of it.
    last_sent_at bigint,
    role member_role not null default 'member',
    -- The first message that this member may see. No row that they may see has a rev before first_rev.
    first_seq bigint not null default 1,
    first_rev bigint not null default 0,
    -- From here to `changed`: the member's own settings.
    muted_until bigint,
    archived boolean not null default false,
    pinned_at bigint,
    -- The conversation is hidden until there is a message after this one.
    hidden_seq bigint,
    draft member_draft,
    draft_at bigint,
    -- The attachments of the draft, the message it replies to, and its thread. Null: none of them.
    draft_parts jsonb,
    notify notify_level,
    -- Null: none.
    labels member_labels,
    changed xid8 not null default pg_current_xact_id(),
    -- The counters of the conversation when this member joined; 0 for the first members.
    joined_seq bigint not null default 0,
    joined_rev bigint not null default 0,
    -- The positions that other members see, if they differ. The first receipt under a block sets them, the first
    -- receipt after the block clears them and takes a `rev`: what other members see changes exactly when they get an
    -- event.
    shown_delivered_seq bigint,
    shown_read_seq bigint,
    -- read_seq has moved without an event to the other members: under a block, or in a group above
    -- messages.receipts_up_to.
    read_unshared boolean not null default false,
    -- The messages that the user could see in earlier memberships: a user who was removed and added again can still
    -- report them.
    earlier_visible_seqs int8multirange,
    primary key (conversation, user_id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade,
    check (0 <= read_seq and read_seq <= delivered_seq)
) with (fillfactor = 70);
create index members_user on members (user_id, tenant);
create unique index members_owner on members (conversation, tenant) where role = 'owner';
create unique index members_alias on members (alias, tenant) where alias is not null;
-- For pages of members in a match: the order of their user ids must not show.
create index members_by_alias on members (conversation, alias, tenant) where alias is not null;

-- Members who left or were removed. The remaining members synchronise this, and so does the former member.
create table former_members (
    tenant text not null,
    conversation uuid not null,
    user_id uuid not null,
    rev bigint not null,
    seq bigint not null,
    left_at bigint not null,
    -- The user who removed them; null if they left.
    actor uuid,
    -- The alias of the match, by which the others can still report and block this user.
    alias uuid,
    changed xid8 not null default pg_current_xact_id(),
    -- The messages that the user could see, and can still report.
    visible_seqs int8multirange not null default '{[1,)}',
    primary key (conversation, user_id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index former_members_rev on former_members (conversation, rev, tenant);
create index former_members_user on former_members (user_id, changed, tenant);
create unique index former_members_alias on former_members (alias, tenant) where alias is not null;

-- Links to join a group, by the hash of their secret.
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
create index invites_creator on invites (creator, tenant);
-- Links that can no longer be used, by reason, for their sweep.
create index invites_revoked on invites (revoked_at) where revoked_at is not null;
create index invites_expiry on invites (expires_at) where expires_at is not null;
create index invites_used_up on invites (uses_left) where uses_left is not null;

-- Requests to join a group that have not been answered.
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
create index join_requests_user on join_requests (user_id, tenant);

create table blocks (
    tenant text not null,
    blocker uuid not null,
    blocked uuid not null,
    -- The id by which the blocker blocked them: the user id or an alias. Each id is a block of its own. A block by
    -- alias ends that match and prevents another one; all other effects follow from the block by user id.
    blocked_as uuid not null,
    created_at bigint not null,
    changed xid8 not null default pg_current_xact_id(),
    primary key (blocker, blocked_as, tenant),
    check (blocker <> blocked),
    foreign key (tenant, blocker) references users (tenant, id) on delete cascade,
    foreign key (tenant, blocked) references users (tenant, id) on delete cascade
);
create index blocks_blocked on blocks (blocked, blocker, tenant);

-- Settings of a user about notifications, presence and consent. Null: as configured.
create table user_settings (
    tenant text not null,
    user_id uuid not null,
    notify notify_level,
    -- Hours without notifications.
    quiet jsonb,
    show_presence audience,
    -- Who needs no request to write to the user first, to add them to groups, and to call them.
    allow_messages audience,
    allow_groups audience,
    allow_calls audience,
    last_seen_at bigint,
    changed xid8 not null default pg_current_xact_id(),
    primary key (user_id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);

-- The epoch of the data, which differs after every restore, see current_epoch() and conversations/commands/sync.py. One
-- row. A dump contains the value, but neither the ids of the tables nor that of the database; a row that is inserted
-- gets a new value.
create table database_epoch (
    only_row boolean primary key default true check (only_row),
    value uuid not null default gen_random_uuid()
);
insert into database_epoch default values;
