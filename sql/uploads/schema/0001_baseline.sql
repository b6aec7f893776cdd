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
