-- name: transfer_ownership
-- Run by the superuser in single-user mode: give a database of an early version, which belongs to the superuser, to the
-- role chatd.
do $$ declare entry record; begin
    if not exists (select from pg_roles where rolname = 'chatd') then create role chatd login createdb; end if;
    grant pg_monitor to chatd;
    grant set on parameter session_replication_role to chatd;
    alter database chatd owner to chatd;
    for entry in select c.oid::regclass as name from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
            and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('e', 'a', 'i')
                and d.classid = 'pg_class'::regclass and (d.deptype = 'e' or c.relkind = 'S'))
    loop execute format('alter table %s owner to chatd', entry.name); end loop;
    for entry in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'public'::regnamespace
    loop execute format('alter routine %s owner to chatd', entry.name); end loop;
    for entry in select t.oid::regtype as name from pg_type t
        where t.typnamespace = 'public'::regnamespace and t.typtype in ('d', 'e')
    loop execute format('alter type %s owner to chatd', entry.name); end loop;
end $$
