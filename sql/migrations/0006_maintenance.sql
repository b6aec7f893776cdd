-- Whether the whole cluster is under maintenance. One row.
create table maintenance (
    one boolean primary key default true check (one),
    enabled boolean not null,
    message text not null,
    retry_after double precision,
    changed_at bigint not null
);
