-- name: horizon
-- All transactions that commit later have an id at or above this.
select pg_snapshot_xmin(pg_current_snapshot())::text

-- name: cluster_state
-- The epoch of the data, the horizon, and the nodes that have connections. Every role can read these columns of
-- pg_stat_activity.
select current_epoch() as epoch, pg_snapshot_xmin(pg_current_snapshot())::text as horizon, array(
    select distinct substring(a.application_name from '^chatd \S+ ([0-9a-f-]{36})$')
    from pg_stat_activity a
    where a.datname = current_database() and a.application_name ~ '^chatd \S+ [0-9a-f-]{36}$'
) as nodes
