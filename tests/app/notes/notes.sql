-- name: add
-- Null if the recipient does not exist: tenant, id, sender, recipient, text.
insert into notes (tenant, id, sender, recipient, text)
select $1, $2, $3, u.id, $5 from users u where u.tenant = $1 and u.id = $4
returning id::text

-- name: written
select count(*) from notes where tenant = $1 and sender = $2

-- name: export
-- Tenant, user, limit, after this one.
select n.id::text, n.recipient::text, n.text from notes n where n.tenant = $1 and n.sender = $2 and n.id > $4::uuid
order by n.id limit $3

-- name: forget
-- Tenant, user.
delete from notes where tenant = $1 and sender = $2

-- name: count
select notes, archived from note_counts

-- name: archive
update notes set archived = true where not archived
