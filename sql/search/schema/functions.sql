-- Removes a message from the index with its row, or when it is deleted and its row stays.
create or replace function remove_from_search() returns trigger
language plpgsql as $$
begin
    delete from search_index i
    where i.conversation = old.conversation and i.created_at = old.created_at and i.seq = old.seq and i.tenant = old.tenant;
    return null;
end $$;
create or replace trigger messages_search after delete on messages for each row execute function remove_from_search();
create or replace trigger messages_search_deleted after update of deleted_at on messages for each row
    when (old.deleted_at is null and new.deleted_at is not null) execute function remove_from_search();
