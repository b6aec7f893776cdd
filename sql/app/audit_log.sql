-- name: note
-- A line in the audit log: tenant, id, now, actor, act, subject, details (null for none).
-- Before a daemon has ever run there is no tenant, and nobody to whom anything was done.
insert into audit_log (tenant, id, at, actor, act, subject, details)
select t.id, $2, $3, $4, $5, $6, $7 from tenants t where t.id = $1

-- name: page
-- The latest acts: tenant, id of the one to go on before (null: from the latest), limit. Details of another form, which other programs have
-- written, are shown as a `value`.
select a.id::text, a.at, a.actor, a.act, a.subject,
    case when a.details is null or jsonb_typeof(a.details) = 'object' then a.details else jsonb_build_object('value', a.details) end as details
from audit_log a where a.tenant = $1 and a.id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') order by a.id desc limit $3
