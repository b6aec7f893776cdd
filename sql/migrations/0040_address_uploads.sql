-- Bytes that anonymous accounts uploaded from one address, by hour (hours since 1970). No row names a user, and the address is a keyed
-- hash of its /64 (IPv6) or of itself (IPv4). Rows older than a day are deleted hourly.
create table address_uploads (
    address_hash bytea not null,
    hour bigint not null,
    bytes bigint not null,
    primary key (address_hash, hour)
);
create index address_uploads_hour on address_uploads (hour);
