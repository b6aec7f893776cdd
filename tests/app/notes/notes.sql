-- name: create_table
create table if not exists notes (
    tenant text not null, id uuid primary key, sender uuid not null, recipient uuid not null,
    text text not null, archived boolean not null default false
)

-- name: add
insert into notes (tenant, id, sender, recipient, text) values ($1, $2, $3, $4, $5)

-- name: count
select count(*) as notes, count(*) filter (where archived) as archived from notes

-- name: archive
update notes set archived = true where not archived
