-- The index of what was said, written by the indexer (search/indexer.py) after the messages were committed, never by who sends.
--
-- `words` has the words of the text and, as lexemes that no word can be, its conversation, its sender, its days and what is attached
-- (search/facets.py), so that the one GIN index narrows a search down by all of them at once. The key begins with the time inside a
-- conversation. A message that is removed for good takes its row along by the trigger; all else is the indexer's.
create table search_index (
    tenant text not null,
    conversation uuid not null,
    created_at bigint not null,
    seq bigint not null,
    words tsvector not null,
    primary key (conversation, created_at, seq, tenant)
);
-- Without a list of pending entries, which every search would have to read through.
create index search_index_words on search_index using gin (words) with (fastupdate = off);

create function remove_from_search() returns trigger
language plpgsql as $$
begin
    delete from search_index i
    where i.conversation = old.conversation and i.created_at = old.created_at and i.seq = old.seq and i.tenant = old.tenant;
    return null;
end $$;
create trigger messages_search after delete on messages for each row execute function remove_from_search();

-- Up to which rev the messages of a conversation are in the index. No row: none is.
create table search_positions (
    tenant text not null,
    conversation uuid not null,
    rev bigint not null,
    primary key (conversation, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade
);

-- How far the round through all conversations has come that looks for those that are behind. One row.
create table search_round (
    one boolean primary key default true check (one),
    after uuid not null,
    after_tenant text not null
);
insert into search_round (after, after_tenant) values ('00000000-0000-0000-0000-000000000000', '');
