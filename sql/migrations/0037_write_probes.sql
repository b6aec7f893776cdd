-- One row that shows whether Postgres takes writes: see chatd/db/write_probe.py. Out of line and uncompressed, so that each write
-- needs space on the disk.
create table write_probes (name text primary key, filler bytea not null);
alter table write_probes alter column filler set storage external;
