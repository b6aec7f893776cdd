-- Threads: the replies to a message, the root, which is no reply itself. A reply is a message of the conversation as any
-- other, with the id of its root in `messages.extra`; `messages.replies` of the root counts them.

create table thread_replies (
    tenant text not null,
    conversation uuid not null,
    root_seq bigint not null,
    seq bigint not null,
    sender uuid not null,
    is_deleted boolean not null default false,
    primary key (conversation, root_seq, seq, tenant),
    foreign key (conversation, seq, tenant) references messages (conversation, seq, tenant) on delete cascade
);
create unique index thread_replies_message on thread_replies (conversation, seq, tenant);
create index thread_replies_sender on thread_replies (conversation, root_seq, sender, tenant) where not is_deleted;

-- What a user has decided about a thread, and how far they have read it.
create table thread_followers (
    tenant text not null,
    user_id uuid not null,
    conversation uuid not null,
    root_seq bigint not null,
    -- False: a mention does not make the user follow the thread again, a reply of their own does.
    following boolean not null,
    read_seq bigint not null,
    followed_at bigint not null,
    changed xid8 not null default pg_current_xact_id(),
    primary key (user_id, conversation, root_seq, tenant),
    foreign key (conversation, root_seq, tenant) references messages (conversation, seq, tenant) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create unique index thread_followers_root on thread_followers (conversation, root_seq, user_id, tenant);
create index thread_followers_latest on thread_followers (user_id, followed_at, tenant);
create index thread_followers_changed on thread_followers (user_id, changed, tenant);
