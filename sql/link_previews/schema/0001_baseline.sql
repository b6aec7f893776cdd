-- Previews of links, by URL. Each tenant has its own, so that no tenant learns what others have sent.

create table link_previews (
    tenant text not null references tenants (id),
    -- SHA-256 of the URL.
    url_hash bytea not null check (octet_length(url_hash) = 32),
    -- Null: the page has no preview, and is not requested again until this row expires.
    preview jsonb,
    expires_at bigint not null,
    primary key (url_hash, tenant)
);
create index link_previews_expiry on link_previews (expires_at);
