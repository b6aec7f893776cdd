-- name: horizon
-- Whatever commits from now on has a transaction id at or above this.
select pg_snapshot_xmin(pg_current_snapshot())::text

-- name: standing
-- The epoch of the data, the horizon as above, and the nodes that have connections here. Everybody sees so much of the activity of others.
select current_epoch() as epoch, pg_snapshot_xmin(pg_current_snapshot())::text as horizon, array(
    select distinct substring(a.application_name from '^chatd \S+ ([0-9a-f-]{36})$')
    from pg_stat_activity a
    where a.datname = current_database() and a.application_name ~ '^chatd \S+ [0-9a-f-]{36}$'
) as nodes
