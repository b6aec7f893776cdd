-- name: insert
-- Tenant, id, now, actor, act, subject, details. No row is inserted if the tenant does not exist, which is the case
-- before the first start of a daemon.
insert into audit_log (tenant, id, at, actor, act, subject, details)
select t.id, $2, $3, $4, $5, $6, $7 from tenants t where t.id = $1

-- name: page
-- Entries, the latest first: tenant, the id to continue before (null: from the latest), limit. Details that are not an
-- object, which other programs wrote, are returned as `value`.
select a.id::text, a.at, a.actor, a.act, a.subject,
    case when a.details is null or jsonb_typeof(a.details) = 'object' then a.details else jsonb_build_object('value', a.details) end as details
from audit_log a where a.tenant = $1 and a.id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') order by a.id desc limit $3
