-- Users, their credentials, and bans. Secrets are stored as hashes only.

create table users (
    tenant text not null references tenants (id),
    id uuid not null,
    name text check (length(name) between 1 and 100),
    anonymous boolean not null default false,
    -- A program, see bots. It never changes: a person cannot become a bot.
    bot boolean not null default false,
    -- What a bot receives in groups; null for people.
    bot_reads text check (bot_reads in ('commands', 'all')),
    created_at bigint not null,
    -- The id of the user in the backend of the app: `sub` of its tokens, if that is not the id of this row. The id is a
    -- UUIDv5 of it, see accounts/external_ids.py.
    external_id text check (octet_length(external_id) between 1 and 255),
    -- Claims of the tokens of a backend.
    picture_url text check (length(picture_url) between 1 and 2048),
    locale text check (length(locale) between 1 and 35),
    roles text[] not null default '{}',
    -- Hashes of the claims that were taken last, and when their token was issued.
    claims bytea,
    claims_at bigint,
    -- Shadow ban: this user is matched with other shadow-banned users only, and is not notified.
    shadow_banned boolean not null default false,
    -- The backend of the app has deactivated the user: no sign-in.
    deactivated_at bigint,
    erased_at bigint,
    -- The rest of the profile, see people. `handle_key` is the same for handles that look alike.
    handle text check (length(handle) between 3 and 30),
    handle_key text,
    avatar uuid,
    status_text text check (length(status_text) between 1 and 140),
    time_zone text check (length(time_zone) between 1 and 64),
    profile jsonb check (jsonb_typeof(profile) = 'object'),
    -- The number of changes of the profile, and the transaction of the last one: a trigger counts them.
    profile_version bigint not null default 0,
    profile_changed xid8 not null default pg_current_xact_id(),
    -- The name by which the user can be found.
    indexed_name text,
    primary key (id, tenant)
);
create unique index users_handle on users (handle_key, tenant) where handle_key is not null;
create index users_profile_changed on users (profile_changed) where profile_version > 0;
-- For the index of names.
create index users_names_to_index on users (id, tenant) where erased_at is null and name is distinct from indexed_name;
-- For the removal of anonymous accounts that were never used again, see accounts/idle_accounts.py.
create index users_anonymous on users (created_at, id, tenant) where anonymous and erased_at is null;
create index users_bots on users (tenant, id) where bot;
create unique index users_external_id on users (external_id, tenant) where external_id is not null;
create index users_erased on users (erased_at) where erased_at is not null;

-- Devices that signed up anonymously. The same key signs in as the same user.
create table devices (
    tenant text not null,
    key_hash bytea not null,
    user_id uuid not null,
    created_at bigint not null,
    primary key (key_hash, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index devices_user on devices (user_id, tenant);

-- A login is the family of all refresh tokens that descend from one sign-in.
create table logins (
    tenant text not null,
    id uuid not null,
    user_id uuid not null,
    created_at bigint not null,
    ended_at bigint,
    -- What the user sees in the list of logins. `address` is a network, see accounts/logins.py.
    name text check (length(name) between 1 and 100),
    platform text check (length(platform) between 1 and 32),
    last_seen bigint not null default 0,
    address text,
    -- A session at an identity provider, see accounts/external_logins.py. It has no refresh tokens here.
    is_external boolean not null default false,
    primary key (id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index logins_user on logins (user_id, tenant);
create index logins_ended on logins (ended_at) where ended_at is not null and not is_external;
create index logins_external_ended on logins (ended_at) where ended_at is not null and is_external;
create index logins_external_unused on logins (last_seen) where ended_at is null and is_external;

-- Using a refresh token a second time ends its login.
create table refresh_tokens (
    hash bytea primary key,
    tenant text not null,
    login uuid not null,
    expires_at bigint not null,
    used_at bigint,
    foreign key (tenant, login) references logins (tenant, id) on delete cascade
);
create index refresh_tokens_login on refresh_tokens (login, tenant);
create index refresh_tokens_expiry on refresh_tokens (expires_at);

-- Access tokens that are rejected although they have not expired. Rows past `expires_at` are swept.
create table revoked_tokens (
    tenant text not null references tenants (id),
    token_id text not null,
    expires_at bigint not null,
    primary key (token_id, tenant)
);
create index revoked_tokens_expiry on revoked_tokens (expires_at);

-- Credentials of backends. `previous_hash`: the secret before the last rotation, valid until `previous_until`.
create table service_tokens (
    tenant text not null references tenants (id),
    id uuid not null,
    name text not null check (length(name) between 1 and 63),
    hash bytea not null unique,
    previous_hash bytea unique,
    previous_until bigint,
    -- Separated by spaces.
    scopes text not null,
    created_at bigint not null,
    actor text not null,
    -- Null: never.
    expires_at bigint,
    revoked_at bigint,
    -- Written at most once a minute.
    last_used_at bigint,
    primary key (id, tenant)
);
create index service_tokens_tenant on service_tokens (tenant, id);
create index service_tokens_name on service_tokens (name, tenant) where revoked_at is null;
create index service_tokens_revoked on service_tokens (revoked_at) where revoked_at is not null;
create index service_tokens_expiry on service_tokens (expires_at) where expires_at is not null;

-- The credential of a bot: one token. `previous_hash`: the secret before the last rotation, valid until `previous_until`.
-- Sessions of either are known by `id` and `previous_id`.
create table bot_tokens (
    tenant text not null,
    user_id uuid not null,
    id uuid not null,
    hash bytea not null unique,
    previous_id uuid,
    previous_hash bytea unique,
    previous_until bigint,
    created_at bigint not null,
    -- Null: never.
    expires_at bigint,
    revoked_at bigint,
    -- Written at most once a minute.
    last_used_at bigint,
    primary key (user_id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index bot_tokens_previous on bot_tokens (previous_until) where previous_until is not null;

-- Each opens one connection within seconds. Unlogged: they need not survive a crash.
create unlogged table connection_tickets (
    hash bytea primary key,
    tenant text not null,
    user_id uuid not null,
    token_id text not null,
    login text not null,
    scope text not null,
    external_id text,
    token_expires_at bigint not null,
    expires_at bigint not null
);
create index connection_tickets_expiry on connection_tickets (expires_at);
create index connection_tickets_user on connection_tickets (user_id, tenant);

-- A ban of a user, a device or a range of addresses. Addresses are stored as keyed hashes of their prefixes.
create table bans (
    tenant text not null references tenants (id),
    id uuid not null,
    user_id uuid,
    device_hash bytea,
    address_hash bytea,
    reason text not null,
    actor text not null,
    created_at bigint not null,
    -- Null: never.
    expires_at bigint,
    lifted_at bigint,
    primary key (id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade,
    check (num_nonnulls(user_id, device_hash, address_hash) = 1)
);
create index bans_user on bans (user_id, tenant) where lifted_at is null;
create index bans_device on bans (device_hash, tenant) where lifted_at is null;
create index bans_address on bans (address_hash, tenant) where lifted_at is null;
create index bans_not_lifted on bans (id, tenant) where lifted_at is null;
-- The history of a user contains lifted bans.
create index bans_of_user on bans (user_id, tenant) where user_id is not null;
