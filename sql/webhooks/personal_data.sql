-- name: forget
-- Delete settled events about a user, except the one about the erasure itself: tenant, user.
delete from webhook_deliveries d where d.user_id = $2 and d.tenant = $1 and d.state <> 'pending' and d.type <> 'user.erased'

-- name: forget_endpoints
-- Remove the endpoint of a bot. A job deletes its events: tenant, user.
update webhook_endpoints set removed_at = now_ms(), disabled_at = coalesce(disabled_at, now_ms()),
    disabled_reason = coalesce(disabled_reason, 'the bot was removed')
where tenant = $1 and bot = $2 and removed_at is null
