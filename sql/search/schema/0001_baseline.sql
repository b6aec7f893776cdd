-- The full-text index. The indexer (search/indexer.py) writes it after messages were committed; sending does not.

-- `words` contains the words of the text and, as lexemes that cannot be words, the conversation, the sender, the days
-- and the kinds of attachments (search/facets.py): one GIN index narrows a search by all of them. The key begins with
-- the time inside a conversation. Triggers delete the row when the message is deleted; the indexer does all else.
create table search_index (
    tenant text not null,
    conversation uuid not null,
    created_at bigint not null,
    seq bigint not null,
    words tsvector not null,
    primary key (conversation, created_at, seq, tenant)
);
-- The indexer merges the list of pending entries after each batch (merge_entries): entries that are merged together take
-- a third of the log and half of the time, and a search reads few of them one by one.
create index search_index_words on search_index using gin (words) with (fastupdate = on, gin_pending_list_limit = 4096);

-- The rev up to which the messages of a conversation are indexed. No row: none.
create table search_positions (
    tenant text not null,
    conversation uuid not null,
    rev bigint not null,
    primary key (conversation, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade
);

-- The position of the scan for conversations that are not indexed up to their rev. One row.
create table search_scan (
    only_row boolean primary key default true check (only_row),
    after_conversation uuid not null,
    after_tenant text not null
);
insert into search_scan (after_conversation, after_tenant) values ('00000000-0000-0000-0000-000000000000', '');

-- The last report of the active indexer. One row. `reported_at`: milliseconds since 1970 by the clock of the database,
-- at first the time of the installation; `waiting_ms`: how long the oldest change had waited; `waiting_changes`: how many
-- waited, an estimate; `problem`: why conversations cannot be indexed, empty if all can.
create table search_status (
    only_row boolean primary key default true check (only_row),
    reported_at bigint not null,
    waiting_ms bigint not null,
    waiting_changes bigint not null,
    problem text not null
);
insert into search_status (reported_at, waiting_ms, waiting_changes, problem)
values ((extract(epoch from clock_timestamp()) * 1000)::bigint, 0, 0, '');
