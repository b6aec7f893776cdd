-- name: announce
-- Notify the indexer: channel, payloads. A notification that is lost in a crash is not missed: no need to wait for the
-- disk.
select set_config('synchronous_commit', 'off', true), pg_notify($1, n.payload) from unnest($2::text[]) as n (payload)

-- name: status
-- The last report of the active indexer, and the milliseconds since.
select (extract(epoch from clock_timestamp()) * 1000)::bigint - s.reported_at as silent_ms, s.waiting_ms, s.waiting_changes, s.problem
from search_status s
