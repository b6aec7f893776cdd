-- Who may not come in, why, until when, and who said so.

-- A user, a device or a range of addresses. Addresses are kept only as keyed hashes of their prefixes.
create table bans (
    tenant text not null references tenants (id),
    id uuid not null,
    user_id uuid,
    device_hash bytea,
    address_hash bytea,
    reason text not null,
    actor text not null,
    created_at bigint not null,
    expires_at bigint,
    lifted_at bigint,
    primary key (id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade,
    check (num_nonnulls(user_id, device_hash, address_hash) = 1)
);
create index bans_user on bans (user_id, tenant) where lifted_at is null;
create index bans_device on bans (device_hash, tenant) where lifted_at is null;
create index bans_address on bans (address_hash, tenant) where lifted_at is null;

-- Every act of moderation. Rows are only ever added.
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
