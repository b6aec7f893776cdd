-- name: indexes
-- The indexes of the schema: name, and whether each is valid.
select c.relname::text as name, i.indisvalid and i.indisready as valid
from pg_index i
join pg_class c on c.oid = i.indexrelid
where c.relnamespace = current_schema()::regnamespace

-- name: long_running
-- Transactions of this database that are older than a time, or have been idle for a time: seconds, idle seconds, limit.
-- Without their statements, which may contain texts of users.
select a.pid, a.application_name::text as name, a.state::text, extract(epoch from now() - a.xact_start)::bigint as seconds
from pg_stat_activity a
where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_type = 'client backend'
    and (
        (a.state not like 'idle%' and a.xact_start < now() - make_interval(secs => $1))
        or (a.state like 'idle in transaction%' and a.state_change < now() - make_interval(secs => $2))
    )
order by a.xact_start limit $3

-- name: tables
-- Tables of the schema: rows, dead rows, whether autovacuum is on, and the time of the last vacuum.
select c.relname::text as name, s.n_live_tup as live, s.n_dead_tup as dead,
    coalesce(c.reloptions @> '{autovacuum_enabled=false}' or c.reloptions @> '{autovacuum_enabled=off}', false) as autovacuum_off,
    (extract(epoch from greatest(s.last_vacuum, s.last_autovacuum)) * 1000)::bigint as vacuumed_at
from pg_stat_user_tables s
join pg_class c on c.oid = s.relid
where c.relnamespace = current_schema()::regnamespace
order by s.n_dead_tup desc

-- name: connections
-- The number of connections, the maximum, and whether autovacuum is on.
select (select count(*) from pg_stat_activity where backend_type = 'client backend') as used,
    current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint as maximum,
    current_setting('autovacuum') = 'on' as autovacuum

-- name: clock
-- The time in milliseconds.
select (extract(epoch from clock_timestamp()) * 1000)::bigint

-- name: replicas
-- Replicas: name, state, whether commits wait for it, bytes that it is behind. Without pg_monitor only the name.
select r.application_name::text as name, r.state::text, r.sync_state::text as sync,
    case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)::bigint end as behind
from pg_stat_replication r
