-- Webhooks: endpoints of the backends of tenants, and the events on their way to them.

create table webhook_endpoints (
    tenant text not null references tenants (id),
    id uuid not null,
    url text not null check (length(url) between 1 and 2000),
    -- Of a bot: it gets what the bot may see. Null: of the backend, which gets everything.
    bot uuid,
    -- Types of events: 'message.created', 'match.*', '*'.
    types text[] not null,
    note text not null default '',
    -- The signing secret is derived from it, see webhooks/signing.py. After a rotation, the previous secret signs too.
    salt bytea not null,
    previous_salt bytea,
    previous_until bigint,
    created_at bigint not null,
    -- Since when it gets no events, and why.
    disabled_at bigint,
    disabled_reason text,
    -- The time of the first failed attempt since the last success, and why the last attempt failed.
    failing_since bigint,
    last_error text,
    -- The rows of a removed endpoint are deleted by a job, in batches.
    removed_at bigint,
    primary key (id, tenant),
    foreign key (tenant, bot) references users (tenant, id),
    check ((disabled_at is null) = (disabled_reason is null)),
    check ((previous_salt is null) = (previous_until is null))
);
create index webhook_endpoints_tenant on webhook_endpoints (tenant, id);
create index webhook_endpoints_bot on webhook_endpoints (bot, tenant) where bot is not null;
create index webhook_endpoints_removed on webhook_endpoints (removed_at) where removed_at is not null;

-- The events of one endpoint. `id` is the order of the events of one key, from the outbox.
create table webhook_deliveries (
    tenant text not null,
    endpoint uuid not null,
    id bigint not null,
    -- The webhook-id: the same for all endpoints and attempts.
    event uuid not null,
    type text not null,
    -- As in the outbox. The content is read when the event is sent.
    key uuid not null,
    subject uuid,
    seq bigint,
    user_id uuid,
    actor uuid,
    at bigint not null,
    -- delivered: with an answer of 2xx. parked: not delivered in time, and not tried again. dropped: there is nothing
    -- left to send, because what it was about was deleted.
    state text not null default 'pending' check (state in ('pending', 'delivered', 'parked', 'dropped')),
    attempts integer not null default 0,
    attempted_at bigint,
    -- Why the last attempt failed.
    error text,
    -- From when on the time is counted after which it is parked.
    retried_from bigint not null,
    settled_at bigint,
    -- When it is deleted.
    kept_until bigint,
    primary key (endpoint, id, tenant),
    foreign key (tenant, endpoint) references webhook_endpoints (tenant, id),
    check ((state = 'pending') = (settled_at is null)),
    check ((state = 'pending') = (kept_until is null))
) with (autovacuum_vacuum_scale_factor = 0.05);
create index webhook_deliveries_in_order on webhook_deliveries (endpoint, key, id, tenant) where state = 'pending';
create index webhook_deliveries_pending on webhook_deliveries (endpoint, id, tenant) where state = 'pending';
create index webhook_deliveries_parked on webhook_deliveries (endpoint, id, tenant) where state = 'parked';
create index webhook_deliveries_kept on webhook_deliveries (kept_until) where kept_until is not null;
create index webhook_deliveries_user on webhook_deliveries (user_id, tenant) where user_id is not null;

-- The keys of an endpoint that have pending events. A node claims a stream to send its events in their order; no other
-- node sends events of it then.
create table webhook_streams (
    tenant text not null,
    endpoint uuid not null,
    key uuid not null,
    -- From when on it can be claimed: at once, after the wait for the next attempt, or after the claim of a node that
    -- has failed.
    due_at bigint not null,
    claim uuid,
    -- Increased with each new event: a stream that has changed during a claim does not end with it.
    version bigint not null default 0,
    primary key (endpoint, key, tenant),
    foreign key (tenant, endpoint) references webhook_endpoints (tenant, id) on delete cascade
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create index webhook_streams_due on webhook_streams (endpoint, due_at, tenant);
