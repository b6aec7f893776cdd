-- Strangers who were brought together. The match stands as long as nobody has left it.

create table matches (
    tenant text not null,
    id uuid not null,
    queue text not null,
    conversation uuid not null,
    created_at bigint not null,
    ended_at bigint,
    reason text,
    primary key (id, tenant),
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade
);

create table match_members (
    tenant text not null,
    match uuid not null,
    user_id uuid not null,
    keep boolean not null default false,
    created_at bigint not null,
    ended_at bigint,
    primary key (match, user_id, tenant),
    foreign key (tenant, match) references matches (tenant, id) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
-- Whoever pairs people, and however many of them there are by mistake: nobody is in two matches.
create unique index match_members_active on match_members (user_id, tenant) where ended_at is null;
create index match_members_user on match_members (user_id, created_at, tenant);
