-- name: note_kick
-- A line in the audit log: tenant, id, now, actor, the user or session, users and sessions and the reason as jsonb.
insert into audit_log (tenant, id, at, actor, act, subject, details)
values ($1, $2, $3, $4, 'session.kick', $5, $6)
