-- The epoch of the data: another one after every restore. See conversations/commands/sync.py.
-- A dump holds the value, but neither the ids of the tables nor that of the database; what is loaded into the table gets a new value.
create table database_epoch (
    only_row boolean primary key default true check (only_row),
    value uuid not null default gen_random_uuid()
);

create function renew_database_epoch() returns trigger language plpgsql as $$
begin
    new.value := gen_random_uuid();
    return new;
end $$;
create trigger renew before insert on database_epoch for each row execute function renew_database_epoch();

insert into database_epoch default values;

-- It changes with the cluster and its timeline (a copy, a failover that may have lost transactions), with the database, with each
-- table that is dropped and made again, and with the value.
create function current_epoch() returns text language sql stable as $$
    select md5(concat_ws('.',
        (select system_identifier from pg_control_system()), (select timeline_id from pg_control_checkpoint()),
        (select oid from pg_database where datname = current_database()),
        'conversations'::regclass::oid, 'messages'::regclass::oid, 'members'::regclass::oid,
        (select value from database_epoch)
    ))
$$;
