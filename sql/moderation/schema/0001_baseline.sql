-- Reports and strikes.

-- A report, with the reported part of the conversation as it was then. It references neither the conversation nor the
-- users: it must outlive them until it is swept.
create table reports (
    tenant text not null references tenants (id),
    id uuid not null,
    reporter uuid not null,
    target uuid not null,
    -- The id by which the reporter reported the target: the user id or an alias. Reports by different ids are different
    -- reports.
    reported_as uuid not null,
    conversation uuid not null,
    message uuid,
    reason text not null,
    text text,
    -- An upload of the reporter. Its bytes are kept as long as the report.
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
create index reports_state on reports (state, id, tenant);
create index reports_resolved on reports (resolved_at) where state = 'resolved';
create index reports_picture on reports (picture, tenant) where picture is not null;

-- Uploads in the transcript of a report. Their bytes are kept as long as the report.
create table report_uploads (
    tenant text not null,
    report uuid not null,
    upload uuid not null,
    primary key (report, upload, tenant),
    foreign key (report, tenant) references reports (id, tenant) on delete cascade,
    foreign key (tenant, upload) references uploads (tenant, id) on delete cascade
);
create index report_uploads_upload on report_uploads (upload, tenant);

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
