-- Sign-in to the pages for admins. Admins are in the configuration, not in the database, and belong to no tenant.

-- Sessions of admins in a browser. The cookie has the secret, this table its hash.
create table admin_sessions (
    hash bytea primary key,
    admin text not null check (length(admin) between 1 and 63),
    -- A keyed hash of the token of the admin: another token ends the session.
    token_hash bytea not null,
    created_at bigint not null,
    -- Written at most once in ten seconds.
    seen_at bigint not null,
    ends_at bigint not null
);
create index admin_sessions_admin on admin_sessions (admin, created_at);
create index admin_sessions_end on admin_sessions (ends_at);

-- Sign-ins of an address, or one-time codes of an admin, since the last success. The key is a keyed hash.
create table admin_sign_in_attempts (
    key bytea primary key,
    attempts integer not null,
    first_at bigint not null
);
create index admin_sign_in_attempts_age on admin_sign_in_attempts (first_at);

-- One-time codes (RFC 6238). The secret is encrypted with a key of the installation.
create table admin_totp (
    admin text primary key check (length(admin) between 1 and 63),
    secret bytea not null,
    created_at bigint not null,
    -- Null: set up, but not confirmed with a code. Sign-in needs no code then.
    confirmed_at bigint,
    -- The time step of the last accepted code. A code is accepted once.
    last_step bigint not null default 0
);
