-- One row for each kind of probe that checks whether Postgres accepts writes, see chatd/db/write_probe.py.
create table write_probes (
    name text primary key,
    filler bytea not null
);
-- Out of line and uncompressed, so that each write allocates disk space.
alter table write_probes alter column filler set storage external;
