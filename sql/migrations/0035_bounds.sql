-- What one user asks for is counted, so it has to be found by the user.
create index join_requests_user on join_requests (user_id, tenant);
-- Accounts without a credential of their own, by when they were made: those that never came back are removed (accounts/idle_accounts.py).
create index users_anonymous on users (created_at, id, tenant) where anonymous and erased_at is null;
