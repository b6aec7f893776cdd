-- Tenants, and what concerns the installation as a whole.
--
-- Every row belongs to a tenant, and every foreign key contains it: a row of one tenant cannot reference a row of
-- another. In keys the tenant comes last. An installation may have a single tenant, and an index that starts with it
-- selects nothing. Times are bigint: milliseconds since 1970.

create table tenants (
    id text primary key check (id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    created_at bigint not null
);

-- Administrative acts. Rows are never changed.
create table audit_log (
    tenant text not null references tenants (id),
    id uuid not null,
    at bigint not null,
    actor text not null,
    act text not null,
    subject text not null,
    details jsonb,
    primary key (id, tenant)
);

-- Maintenance mode of the cluster. One row.
create table maintenance (
    only_row boolean primary key default true check (only_row),
    enabled boolean not null,
    message text not null,
    -- Seconds until clients should reconnect; null: unknown.
    retry_after double precision,
    changed_at bigint not null
);

-- When each periodic job last began. A node claims a job by updating its row, so that one node runs it at a time.
create table job_runs (
    job text primary key,
    started_at bigint not null
);

-- The secret that the keyed hashes in this database were made with. One row.
create table installation (
    only_row boolean primary key default true check (only_row),
    -- A short fingerprint, from which the secret cannot be computed.
    secret_fingerprint text not null
);
