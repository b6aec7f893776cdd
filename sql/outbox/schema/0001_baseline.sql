-- The outbox: notes about committed changes, written in the transaction of the change, for consumers that act on them
-- later (webhooks). A row has ids only; a consumer reads the rest when it needs it.

-- Which consumer wants to know of which changes of a tenant. Of others, nothing is written.
create table outbox_interests (
    type text not null,
    tenant text not null references tenants (id),
    consumer text not null,
    primary key (type, tenant, consumer)
);
create index outbox_interests_consumer on outbox_interests (consumer, tenant, type);

-- A row stays until its consumer takes it, usually for less than a second. The rows of one `key` are in the order of
-- their commits, because each change holds the lock of that conversation, user or report until its commit. Rows of
-- different keys may become visible later than rows with a higher `id`. There are no foreign keys: a check of each would
-- cost as much as the row.
create table outbox (
    consumer text not null,
    id bigint generated always as identity,
    tenant text not null,
    type text not null,
    -- The conversation, user or report in whose order the changes are.
    key uuid not null,
    -- The message, ban, report or match.
    subject uuid,
    seq bigint,
    -- The user whom the change is about; for a message, its sender.
    user_id uuid,
    actor uuid,
    at bigint not null,
    primary key (consumer, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_scale_factor = 0);
