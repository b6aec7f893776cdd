-- name: add
-- Add a link: tenant, conversation, id, hash of the secret, creator, now, expiry (null: none), uses (null: unlimited).
insert into invites (tenant, id, conversation, secret_hash, creator, created_at, expires_at, uses_left)
values ($1, $3, $2, $4, $5, $6, $7, $8)

-- name: count
-- Valid links: tenant, conversation, now.
select count(*) as found from invites
where tenant = $1 and conversation = $2 and revoked_at is null and (expires_at is null or expires_at > $3)

-- name: page
-- Valid links, the latest first: tenant, conversation, now, limit.
select id::text, creator::text, created_at, expires_at, uses_left
from invites
where tenant = $1 and conversation = $2 and revoked_at is null and (expires_at is null or expires_at > $3)
order by created_at desc limit $4

-- name: revoke
-- Tenant, conversation, id, now.
update invites set revoked_at = $4 where tenant = $1 and conversation = $2 and id = $3 and revoked_at is null returning id

-- name: find
-- The group of a valid link: tenant, hash of the secret, now.
select c.id::text, c.title, c.description, c.picture::text, c.members as member_count, c.joining
from invites i
join conversations c on c.tenant = i.tenant and c.id = i.conversation
where i.tenant = $1 and i.secret_hash = $2 and i.revoked_at is null and (i.uses_left is null or i.uses_left > 0)
    and (i.expires_at is null or i.expires_at > $3) and c.kind = 'group' and c.joining <> 'closed' and c.members > 0
