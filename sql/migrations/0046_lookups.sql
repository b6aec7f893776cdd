-- Indexes for look-ups that read a whole table, or all rows of something popular.

-- One reader's mark of a message was looked up among those of all its readers, where Postgres took this index for as good as the key.
drop index marks_message;
create unique index marks_message on marks (conversation, seq, user_id, tenant);
create index tickets_user on tickets (user_id, tenant);
create index invites_creator on invites (creator, tenant);
-- Links that are over, by why.
create index invites_revoked on invites (revoked_at) where revoked_at is not null;
create index invites_expiry on invites (expires_at) where expires_at is not null;
create index invites_used_up on invites (uses_left) where uses_left is not null;
create index logins_ended on logins (ended_at) where ended_at is not null;
-- Lifted bans count too where a user's history is asked for.
create index bans_of_user on bans (user_id, tenant) where user_id is not null;
create index bans_not_lifted on bans (id, tenant) where lifted_at is null;
create index reports_state on reports (state, id, tenant);
drop index reports_open;
create index erasures_page on erasures (tenant, done_at desc nulls first, requested_at desc);
