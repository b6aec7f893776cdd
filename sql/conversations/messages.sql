-- name: history_before
-- The newest messages before a seq, newest first; all when the seq is null: tenant, conversation, user, seq, limit.
select f.* from messages_for($1, $2, $3) as f
where f.seq < coalesce($4::bigint, 9223372036854775807)
order by f.seq desc limit $5

-- name: history_after
-- The oldest messages after a seq: tenant, conversation, user, seq, limit.
select f.* from messages_for($1, $2, $3) as f
where f.seq > $4::bigint
order by f.seq limit $5
