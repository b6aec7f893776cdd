-- What people report, the strikes that follow, and who is matched only with their like.

-- A report and the part of the conversation it is about, as it was when it was made. Neither the conversation nor the people
-- are referred to by a key: what was said must outlive them, until the report is swept.
create table reports (
    tenant text not null references tenants (id),
    id uuid not null,
    reporter uuid not null,
    target uuid not null,
    conversation uuid not null,
    message uuid,
    reason text not null,
    text text,
    -- An upload of the reporter. As long as it is here its bytes are not swept.
    picture uuid,
    transcript jsonb not null,
    state text not null default 'open' check (state in ('open', 'resolved')),
    outcome text check (outcome in ('upheld', 'dismissed')),
    note text,
    resolved_by text,
    resolved_at bigint,
    created_at bigint not null,
    primary key (id, tenant),
    foreign key (tenant, picture) references uploads (tenant, id),
    check ((state = 'resolved') = (resolved_at is not null and resolved_by is not null and outcome is not null))
);
create index reports_reporter on reports (reporter, created_at, tenant);
create index reports_target on reports (target, id, tenant);
create index reports_open on reports (id, tenant) where state = 'open';
create index reports_resolved on reports (resolved_at) where state = 'resolved';
create index reports_picture on reports (picture, tenant) where picture is not null;

create table strikes (
    tenant text not null,
    id uuid not null,
    user_id uuid not null,
    reason text not null,
    actor text not null,
    created_at bigint not null,
    -- When it stops counting; null: never.
    expires_at bigint,
    primary key (id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index strikes_user on strikes (user_id, id, tenant);

-- Matched only with others of the same kind, and not told so.
alter table users add column shadow boolean not null default false;
