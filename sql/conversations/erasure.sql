-- name: memberships
-- Conversations of a user, by their id, except those of running matches, which the subsystem matching ends: tenant,
-- user, after this one, limit.
select c.id::text, c.kind
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation
where b.tenant = $1 and b.user_id = $2 and b.conversation > $3::uuid
    and not exists (select 1 from matches h where h.tenant = c.tenant and h.conversation = c.id and h.ended_at is null)
order by b.conversation limit $4

-- name: clear_own_settings
-- Delete a member's own settings of a conversation of which they stay a member: tenant, conversation, user, rev.
with deleted_uploads as (
    delete from draft_uploads where tenant = $1 and conversation = $2 and user_id = $3
)
update members
set muted_until = null, archived = false, pinned_at = null, hidden_seq = null, draft = null, draft_at = null, draft_parts = null, notify = null,
    labels = null, rev = $4,
    changed = pg_current_xact_id()
where tenant = $1 and conversation = $2 and user_id = $3

-- name: messages
-- Messages of a user, by client_id: tenant, user, after, limit.
select m.conversation::text, m.seq, m.client_id, m.deleted_at is not null or m.system is not null as is_deleted_or_system
from messages m
where m.tenant = $1 and m.sender = $2 and m.client_id > $3
order by m.client_id limit $4

-- name: not_deleted
-- Those of these messages that are not deleted yet: tenant, conversation, seqs.
select m.seq from messages m
where m.tenant = $1 and m.conversation = $2 and m.seq = any($3::bigint[]) and m.deleted_at is null
order by m.seq

-- name: reactions
-- Tenant, user, limit.
select r.conversation::text, r.seq, r.emoji from reactions r where r.tenant = $1 and r.user_id = $2 limit $3

-- name: has_reaction
-- Whether a reaction exists: tenant, conversation, seq, user, emoji.
select 1 from reactions where tenant = $1 and conversation = $2 and seq = $3 and user_id = $4 and emoji = $5

-- name: delete_marks
-- Delete stars and hidden marks of a user. Returns their number: tenant, user, limit.
with deleted as (
    delete from marks k
    where k.ctid = any(array(select o.ctid from marks o where o.tenant = $1 and o.user_id = $2 limit $3))
    returning 1
)
select count(*) from deleted
