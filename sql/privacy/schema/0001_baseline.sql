-- Users whose data is being erased. The row stays as the proof of the erasure.
create table erasures (
    tenant text not null,
    user_id uuid not null,
    requested_at bigint not null,
    actor text not null,
    -- The client_id up to which this pass has deleted the user's messages.
    position text not null default '',
    -- Messages deleted in this pass, and in all.
    erased_in_pass bigint not null default 0,
    erased_messages bigint not null default 0,
    -- Until this time one node has claimed it.
    claimed_until bigint,
    done_at bigint,
    primary key (user_id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index erasures_open on erasures (requested_at) where done_at is null;
create index erasures_page on erasures (tenant, done_at desc nulls first, requested_at desc);
