-- Conversations, who is in them, and what was said.
--
-- A conversation has two counters in its own row, advanced under its row lock in the statement that writes: `seq` numbers
-- messages, `rev` numbers changes. A changed row carries the rev of its last change. `changed` is the transaction that last
-- touched the row: session.sync compares it with the horizon of an earlier snapshot, which unlike a timestamp or a sequence
-- misses nothing that was still under way.

create table conversations (
    tenant text not null references tenants (id),
    id uuid not null,
    kind text not null check (kind in ('direct', 'group', 'match')),
    title text check (length(title) between 1 and 100),
    creator uuid,
    pair_low uuid,
    pair_high uuid,
    seq bigint not null default 0,
    rev bigint not null default 0,
    members integer not null,
    created_at bigint not null,
    active_at bigint not null,
    changed xid8 not null default pg_current_xact_id(),
    primary key (id, tenant),
    unique (pair_low, pair_high, tenant),
    check ((kind = 'direct') = (pair_low is not null and pair_high is not null and pair_low < pair_high))
) with (fillfactor = 70);

create table members (
    tenant text not null,
    conversation uuid not null,
    user_id uuid not null,
    joined_at bigint not null,
    delivered_seq bigint not null default 0,
    read_seq bigint not null default 0,
    rev bigint not null,
    primary key (conversation, user_id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade,
    check (0 <= read_seq and read_seq <= delivered_seq)
) with (fillfactor = 70);
create index members_user on members (user_id, tenant);

create table messages (
    tenant text not null,
    conversation uuid not null,
    seq bigint not null,
    rev bigint not null,
    id uuid not null,
    sender uuid not null,
    client_id text not null,
    text text,
    attachments jsonb,
    reply_to uuid,
    meta jsonb,
    created_at bigint not null,
    primary key (conversation, seq, tenant),
    unique (sender, client_id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade
);
create index messages_rev on messages (conversation, rev, tenant);
create unique index messages_id on messages (conversation, id, tenant);
