-- Which secret the keyed hashes in this database were made with: a short fingerprint of it, from which it cannot be computed.
create table installation (
    one boolean primary key default true check (one),
    secret_fingerprint text not null
);
