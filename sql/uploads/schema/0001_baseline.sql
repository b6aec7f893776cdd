-- Uploaded files. Their bytes are in the folder or the bucket, under `key`, which cannot be guessed.

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
    duration_ms integer check (duration_ms > 0),
    -- ThumbHash.
    placeholder bytea check (length(placeholder) <= 40),
    -- Each byte a loudness from 0 to 100.
    waveform bytea check (length(waveform) <= 128),
    -- The size of the thumbnail in bytes; null if there is none. Its key follows from `key`.
    thumbnail_size integer,
    created_at bigint not null,
    -- When the bytes were deleted.
    removed_at bigint,
    primary key (id, tenant),
    foreign key (tenant, owner) references users (tenant, id) on delete cascade
);
create index uploads_owner on uploads (owner, created_at, tenant);

-- Bytes that anonymous accounts uploaded from one address, by hour (hours since 1970). No row identifies a user: the
-- address is a keyed hash of its /64 (IPv6) or of itself (IPv4). Rows older than a day are deleted hourly.
create table address_uploads (
    address_hash bytea not null,
    hour bigint not null,
    bytes bigint not null,
    primary key (address_hash, hour)
);
create index address_uploads_hour on address_uploads (hour);

-- Files that are received in parts. When all parts are there, they become an upload with the same id.
create table resumable_uploads (
    tenant text not null,
    id uuid not null,
    owner uuid not null,
    length bigint not null check (length >= 0),
    -- The bytes that are stored, from the beginning of the file.
    received bigint not null default 0 check (received between 0 and length),
    -- As the client gave it.
    metadata text not null check (length(metadata) <= 2048),
    -- open: parts are accepted. done: there is an upload. ended: terminated, expired or erased.
    state text not null default 'open' check (state in ('open', 'done', 'ended')),
    created_at bigint not null,
    expires_at bigint not null,
    -- When the sweep has something to do: delete the parts of an upload that is closed, or end one that has expired.
    sweep_at bigint not null,
    primary key (id, tenant),
    foreign key (tenant, owner) references users (tenant, id) on delete cascade
);
create index resumable_uploads_owner on resumable_uploads (owner, created_at, tenant);
create index resumable_uploads_sweep on resumable_uploads (sweep_at);

-- Blobs of such a file. A row is written before its blob and deleted after it.
create table upload_parts (
    tenant text not null,
    upload uuid not null,
    key text not null,
    size bigint not null,
    -- Where it is in the file; null until it is stored.
    start bigint,
    primary key (key),
    foreign key (upload, tenant) references resumable_uploads (id, tenant) on delete cascade
);
create index upload_parts_upload on upload_parts (upload, start, tenant);
