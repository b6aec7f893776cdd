-- name: contacts
-- Tenant, user, limit, after this one.
select k.contact::text as user, k.created_at from contacts k
where k.tenant = $1 and k.user_id = $2 and k.contact > $4::uuid
order by k.contact limit $3

-- name: received
-- Requests to the user: tenant, user, limit, after this one.
select r.conversation::text, r.sender::text, r.created_at, r.declined_at from contact_requests r
where r.tenant = $1 and r.user_id = $2 and r.withdrawn_at is null and r.conversation > $4::uuid
order by r.conversation limit $3

-- name: sent
-- Requests of the user. That one was declined is not theirs to know: tenant, user, limit, after this one (user,
-- conversation).
select r.user_id::text as user, r.conversation::text, r.created_at, r.withdrawn_at from contact_requests r
where r.tenant = $1 and r.sender = $2 and (r.user_id, r.conversation) > ($4::uuid, $5::uuid)
order by r.user_id, r.conversation limit $3

-- name: forget
-- Tenant, user.
with deleted_contacts as (
    delete from contacts where tenant = $1 and user_id = $2
),
deleted_by_others as (
    delete from contacts where tenant = $1 and contact = $2
),
deleted_limits as (
    delete from request_senders where tenant = $1 and user_id = $2
),
changed_settings as (
    insert into user_settings (tenant, user_id)
    select distinct r.tenant, r.user_id from contact_requests r
    where r.tenant = $1 and r.sender = $2
    order by r.user_id
    on conflict (user_id, tenant) do update set changed = pg_current_xact_id()
),
deleted_received as (
    delete from contact_requests where tenant = $1 and user_id = $2
)
delete from contact_requests where tenant = $1 and sender = $2
