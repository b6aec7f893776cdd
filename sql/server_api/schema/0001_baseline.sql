-- Lists of all users and conversations of a tenant.

-- When the user was created, or changed last: by the backend, by a claim, by the user or by an admin.
alter table users add column updated_at bigint not null default 0;
update users set updated_at = greatest(created_at, deactivated_at);
create index users_updated on users (tenant, updated_at, id) where erased_at is null;
create index conversations_tenant on conversations (tenant, id);
