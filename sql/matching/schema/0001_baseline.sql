-- Matches of strangers. A match lasts until one of its members leaves it.

create table matches (
    tenant text not null,
    id uuid not null,
    queue text not null,
    conversation uuid not null,
    created_at bigint not null,
    ended_at bigint,
    -- Why it ended, such as 'kept'.
    reason text,
    primary key (id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade
);
create index matches_conversation on matches (conversation, tenant);

create table match_members (
    tenant text not null,
    match uuid not null,
    user_id uuid not null,
    -- The member wants to keep the conversation.
    keep boolean not null default false,
    created_at bigint not null,
    ended_at bigint,
    -- The criteria of the member's ticket, for the next search after a skip, on any node. Null once the match has
    -- ended. Not jsonb, which writes large numbers as integers that other JSON readers do not accept.
    criteria json,
    -- A connection of this user got the event about the match. Otherwise the user gets it when they reconnect: the node
    -- that was about to send it may have failed.
    announced boolean not null default false,
    primary key (match, user_id, tenant),
    foreign key (tenant, match) references matches (tenant, id) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
-- No user is in two matches, even if two nodes pair users at the same time.
create unique index match_members_active on match_members (user_id, tenant) where ended_at is null;
create index match_members_user on match_members (user_id, created_at, tenant);
