-- name: outdated
-- Tables that are larger than their statistics say by a factor, in pages, or in rows if pages are reused; and those with
-- fewer rows than pages, which have not grown: factor, minimum number of rows, of pages.
select c.oid::regclass::text as name, has_grown
from pg_class c
left join pg_stat_user_tables s on s.relid = c.oid
cross join lateral (
    select pg_relation_size(c.oid) > $1::int * c.relpages::bigint * current_setting('block_size')::int
        or coalesce(s.n_live_tup > $1 * greatest(c.reltuples, $2::int), false) as has_grown
) as growth
where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and pg_has_role(c.relowner, 'USAGE')
    and (has_grown or c.relpages > $3::int and c.reltuples < c.relpages)
