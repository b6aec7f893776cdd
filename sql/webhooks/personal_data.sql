-- name: forget
-- Delete settled events about a user, except the one about the erasure itself: tenant, user.
delete from webhook_deliveries d where d.user_id = $2 and d.tenant = $1 and d.state <> 'pending' and d.type <> 'user.erased'
