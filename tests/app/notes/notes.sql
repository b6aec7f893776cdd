-- name: add
insert into notes (tenant, id, sender, recipient, text) values ($1, $2, $3, $4, $5)

-- name: count
select notes, archived from note_counts

-- name: archive
update notes set archived = true where not archived
