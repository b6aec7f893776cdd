-- Files that people have uploaded. The bytes lie in the folder or the bucket under `key`, which nobody can guess.
create table uploads (
    tenant text not null references tenants (id),
    id uuid not null,
    owner uuid not null,
    key text not null unique,
    mime text not null,
    size bigint not null check (size >= 0),
    sha256 bytea not null,
    name text check (length(name) between 1 and 200),
    width integer,
    height integer,
    created_at bigint not null,
    -- When the bytes were removed.
    removed_at bigint,
    primary key (id, tenant),
    foreign key (tenant, owner) references users (tenant, id) on delete cascade
);
create index uploads_owner on uploads (owner, created_at, tenant);

-- Whoever is in one of these conversations may read the file, as its owner may.
create table upload_uses (
    tenant text not null,
    upload uuid not null,
    conversation uuid not null,
    seq bigint not null,
    primary key (upload, conversation, seq, tenant),
    foreign key (tenant, upload) references uploads (tenant, id) on delete cascade,
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade
);
create index upload_uses_conversation on upload_uses (conversation, tenant);
