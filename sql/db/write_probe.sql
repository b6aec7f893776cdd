-- name: write
insert into write_probes (name, filler) values ($1, $2) on conflict (name) do update set filler = excluded.filler

-- name: read
select filler from write_probes where name = $1
