-- How users are found by name and handle, and which handles were given up. The profiles are columns of `users`.

-- A handle that a user has given up. Others cannot take it for a while. The key of a handle is stored as a hash, so that
-- nothing readable is left of an erased user.
create table handle_changes (
    tenant text not null,
    id uuid not null,
    -- Null after an erasure.
    user_id uuid,
    key_hash bytea not null,
    released_at bigint not null,
    primary key (id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index handle_changes_key on handle_changes (key_hash, tenant);
create index handle_changes_user on handle_changes (user_id, released_at, tenant);
create index handle_changes_age on handle_changes (released_at);

-- The index of names: the handle of a user, and the name from each of its words on, without case and accents. A search
-- reads a range of it.
create table user_names (
    tenant text not null,
    user_id uuid not null,
    text text collate "C" not null,
    is_handle boolean not null,
    primary key (user_id, text, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index user_names_text on user_names (tenant, text, user_id);
create index user_names_handle on user_names (tenant, text, user_id) where is_handle;
