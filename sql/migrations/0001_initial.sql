-- Tenants, people, and how they sign in.
-- Every row has a tenant, and every reference contains it: a row of one tenant cannot point at another's.
-- In the keys it stands last: nearly all rows may be of one tenant, and an index that begins with it finds nothing fast.

create table tenants (
    id text primary key check (id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    created_at bigint not null
);

create table users (
    tenant text not null references tenants (id),
    id uuid not null,
    name text check (length(name) between 1 and 100),
    anonymous boolean not null default false,
    created_at bigint not null,
    primary key (id, tenant)
);

-- A device that signed up, by the hash of the key it keeps: the same device comes back as the same person.
create table devices (
    tenant text not null,
    key_hash bytea not null,
    user_id uuid not null,
    created_at bigint not null,
    primary key (key_hash, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);

-- Refresh tokens by hash. A login is the family of all tokens that one sign-in led to; using one twice ends the login.
create table logins (
    tenant text not null,
    id uuid not null,
    user_id uuid not null,
    created_at bigint not null,
    ended_at bigint,
    primary key (id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index logins_user on logins (user_id, tenant);

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

-- Access tokens that must not be accepted although they have not expired. Rows past `expires_at` are swept.
create table revoked_tokens (
    tenant text not null references tenants (id),
    token_id text not null,
    expires_at bigint not null,
    primary key (token_id, tenant)
);
create index revoked_tokens_expiry on revoked_tokens (expires_at);

-- One connection each, within seconds. They need not survive a crash.
create unlogged table tickets (
    hash bytea primary key,
    tenant text not null,
    user_id uuid not null,
    token_id text not null,
    login text not null,
    scope text not null,
    token_expires_at bigint not null,
    expires_at bigint not null
);
create index tickets_expiry on tickets (expires_at);
