-- Contacts of users, and requests: what somebody may not do without the consent of a user.

-- The users that a user has made contacts. is_contact() has the whole rule.
create table contacts (
    tenant text not null,
    user_id uuid not null,
    contact uuid not null,
    created_at bigint not null,
    primary key (user_id, contact, tenant),
    check (user_id <> contact),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade,
    foreign key (tenant, contact) references users (tenant, id) on delete cascade
);
create index contacts_contact on contacts (contact, user_id, tenant);

-- Requests to a user to accept a direct conversation, or to join a group: the user is no member before they accept,
-- which deletes the row. The sender cannot tell a declined one from one that waits, so it stays until the user accepts
-- it after all.
create table contact_requests (
    tenant text not null,
    conversation uuid not null,
    user_id uuid not null,
    sender uuid not null,
    created_at bigint not null,
    -- Also if the user has blocked the sender.
    declined_at bigint,
    withdrawn_at bigint,
    is_pending boolean not null generated always as (declined_at is null and withdrawn_at is null) stored,
    primary key (conversation, user_id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade,
    foreign key (tenant, sender) references users (tenant, id) on delete cascade
);
create index contact_requests_user on contact_requests (user_id, conversation, tenant);
create index contact_requests_pending on contact_requests (user_id, conversation, tenant) where is_pending;
create index contact_requests_sender on contact_requests (sender, user_id, tenant);

-- The limits of those who send requests.
create table request_senders (
    tenant text not null,
    user_id uuid not null,
    -- The requests since `day_at`, a day at most, and how many are allowed. `score` decides that when the day begins, so
    -- that the sender does not notice which one was declined.
    day_at bigint not null default 0,
    sent integer not null default 0,
    allowed integer not null default 0,
    -- The number of declined requests, halved each week, as of `scored_at`.
    score double precision not null default 0,
    scored_at bigint not null default 0,
    primary key (user_id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
