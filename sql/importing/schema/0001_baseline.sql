-- The progress of imports. It is written in the transaction of the rows, so an import that broke off continues there.

create table imports (
    tenant text not null references tenants (id),
    -- The SHA-256 of the file.
    digest bytea not null,
    -- The number of lines that are imported, and their bytes.
    lines bigint not null,
    position bigint not null,
    actor text not null,
    started_at bigint not null,
    finished_at bigint,
    primary key (digest, tenant)
);
