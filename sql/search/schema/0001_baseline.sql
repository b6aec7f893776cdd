-- The full-text index. The indexer (search/indexer.py) writes it after messages were committed; sending does not.

-- `words` contains the words of the text and, as lexemes that cannot be words, the conversation, the sender, the days
-- and the kinds of attachments (search/facets.py): one GIN index narrows a search by all of them. The key begins with
-- the time inside a conversation. A trigger deletes the row when the row of the message is deleted; the indexer does
-- all else.
create table search_index (
    tenant text not null,
    conversation uuid not null,
    created_at bigint not null,
    seq bigint not null,
    words tsvector not null,
    primary key (conversation, created_at, seq, tenant)
);
-- Without a list of pending entries, which every search would have to read.
create index search_index_words on search_index using gin (words) with (fastupdate = off);

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
