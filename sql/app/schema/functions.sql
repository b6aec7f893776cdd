-- The time in milliseconds by the clock of the database, which all nodes share. The same for the whole statement.
create or replace function now_ms() returns bigint language sql stable as $$
    select (extract(epoch from statement_timestamp()) * 1000)::bigint
$$;
