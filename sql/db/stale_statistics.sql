-- name: outdated
-- Tables that are larger than their statistics say by a factor, in pages, or in rows if pages are reused: factor,
-- minimum number of rows.
select c.oid::regclass::text as name
from pg_class c
left join pg_stat_user_tables s on s.relid = c.oid
where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and pg_has_role(c.relowner, 'USAGE')
    and (
        pg_relation_size(c.oid) > $1::int * c.relpages::bigint * current_setting('block_size')::int
        or s.n_live_tup > $1 * greatest(c.reltuples, $2::int)
    )
