-- Messages, and what belongs to them.

-- A deleted message keeps its row, and so its number, without its content.
create table messages (
    tenant text not null,
    conversation uuid not null,
    -- The number of the message, without gaps.
    seq bigint not null,
    -- The number of its last change.
    rev bigint not null,
    id uuid not null,
    sender uuid not null,
    -- True if the message was sent in a match; only then the alias of the sender is looked up.
    in_match boolean,
    -- Chosen by the client. Sending it again returns the first result.
    client_id text not null,
    text text,
    attachments jsonb,
    reply_to uuid,
    meta jsonb,
    created_at bigint not null,
    -- The event that a system message describes.
    system jsonb,
    -- Mentions, the source of a forwarded message, of a reply in a thread the root, a poll with its counts, buttons.
    extra jsonb,
    -- The number of reactions by emoji.
    reactions jsonb,
    edited_at bigint,
    deleted_at bigint,
    expires_at bigint,
    pinned_at bigint,
    -- Of the root of a thread: its replies. See add_thread_replies().
    replies jsonb,
    primary key (conversation, seq, tenant),
    unique (sender, client_id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade
);
create index messages_rev on messages (conversation, rev, tenant);
create unique index messages_id on messages (conversation, id, tenant);
create index messages_expiry on messages (expires_at) where expires_at is not null;
create index messages_pinned on messages (conversation, tenant) where pinned_at is not null;

-- Earlier texts of edited messages.
create table message_edits (
    tenant text not null,
    conversation uuid not null,
    seq bigint not null,
    rev bigint not null,
    text text,
    -- When the edit replaced it.
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

-- The options that users have chosen in polls, by their index. The message has their counts.
create table poll_votes (
    tenant text not null,
    conversation uuid not null,
    seq bigint not null,
    user_id uuid not null,
    option smallint not null check (option between 0 and 19),
    voted_at bigint not null,
    primary key (conversation, seq, user_id, option, tenant),
    foreign key (conversation, seq, tenant) references messages (conversation, seq, tenant) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index poll_votes_option on poll_votes (conversation, seq, option, user_id, tenant);
create index poll_votes_user on poll_votes (user_id, conversation, seq, tenant);

-- When open polls end.
create table poll_deadlines (
    tenant text not null,
    conversation uuid not null,
    seq bigint not null,
    closes_at bigint not null,
    primary key (conversation, seq, tenant),
    foreign key (conversation, seq, tenant) references messages (conversation, seq, tenant) on delete cascade
);
create index poll_deadlines_due on poll_deadlines (closes_at);

-- The nil UUID stands for a mention of all members.
create table mentions (
    tenant text not null,
    conversation uuid not null,
    user_id uuid not null,
    seq bigint not null,
    primary key (conversation, user_id, seq, tenant),
    foreign key (conversation, seq, tenant) references messages (conversation, seq, tenant) on delete cascade
);
create index mentions_message on mentions (conversation, seq, tenant);

-- Stars of a user, and messages that they have hidden from themselves.
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
-- Unique, with the user: otherwise Postgres prefers it to the primary key, and reads the marks of all readers of a
-- message.
create unique index marks_message on marks (conversation, seq, user_id, tenant);
create index marks_changed on marks (user_id, changed, tenant);
create index marks_starred on marks (user_id, starred_at, tenant) where starred_at is not null;

-- Uploads in messages. Members of the conversation may read the file, as its owner may.
create table upload_uses (
    tenant text not null,
    upload uuid not null,
    conversation uuid not null,
    seq bigint not null,
    primary key (upload, conversation, seq, tenant),
    foreign key (tenant, upload) references uploads (tenant, id) on delete cascade,
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade
);
create index upload_uses_conversation on upload_uses (conversation, tenant);
create index upload_uses_message on upload_uses (conversation, seq, tenant);

-- Messages to send later.
create table scheduled_messages (
    tenant text not null,
    id uuid not null,
    conversation uuid not null,
    sender uuid not null,
    client_id text not null,
    -- The command as the client sent it.
    body jsonb not null,
    due_at bigint not null,
    -- The refusal, if sending failed.
    failed text,
    created_at bigint not null,
    changed xid8 not null default pg_current_xact_id(),
    -- Until this time one node has claimed it to send it. If that node fails, another one sends it; the client_id
    -- prevents a second message.
    claimed_until bigint,
    primary key (id, tenant),
    unique (sender, client_id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade,
    foreign key (tenant, sender) references users (tenant, id) on delete cascade
);
create index scheduled_messages_due on scheduled_messages (due_at) where failed is null;
create index scheduled_messages_sender on scheduled_messages (sender, id, tenant);

-- Uploads in scheduled messages. They are in use; only their owner may read them.
create table scheduled_uploads (
    tenant text not null,
    upload uuid not null,
    scheduled uuid not null,
    primary key (upload, scheduled, tenant),
    foreign key (tenant, upload) references uploads (tenant, id) on delete cascade,
    foreign key (tenant, scheduled) references scheduled_messages (tenant, id) on delete cascade
);
create index scheduled_uploads_scheduled on scheduled_uploads (scheduled, tenant);

-- Uploads in drafts. They are in use; only those who may read them anyway can.
create table draft_uploads (
    tenant text not null,
    conversation uuid not null,
    user_id uuid not null,
    upload uuid not null,
    primary key (conversation, user_id, upload, tenant),
    foreign key (conversation, user_id, tenant) references members (conversation, user_id, tenant) on delete cascade,
    foreign key (tenant, upload) references uploads (tenant, id) on delete cascade
);
create index draft_uploads_upload on draft_uploads (upload, tenant);

-- The content of deleted messages, for a limited time and for reports only: a reported user cannot delete the evidence
-- first.
create table withheld_messages (
    tenant text not null,
    conversation uuid not null,
    seq bigint not null,
    sender uuid not null,
    text text,
    attachments jsonb,
    meta jsonb,
    system jsonb,
    -- Earlier texts, as in message_edits.
    edits jsonb,
    until bigint not null,
    primary key (conversation, seq, tenant)
);
create index withheld_messages_until on withheld_messages (until);
create index withheld_messages_sender on withheld_messages (sender, conversation, seq, tenant);

-- The uploads of these messages. Their bytes are kept, but no user gets access to them.
create table withheld_uploads (
    tenant text not null,
    upload uuid not null,
    until bigint not null,
    primary key (upload, tenant),
    foreign key (tenant, upload) references uploads (tenant, id) on delete cascade
);
create index withheld_uploads_until on withheld_uploads (until);
