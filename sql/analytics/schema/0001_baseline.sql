-- Figures of each tenant and day. A day is a number: days since 1970 in UTC. docs/analytics.md defines each figure.

-- Users who have been connected, and on which of the last days.
create table analytics_users (
    tenant text not null,
    user_id uuid not null,
    -- The first and the last day with a session.
    first_day integer not null,
    last_day integer not null,
    -- Bit n: whether the user had a session n days before last_day.
    days bigint not null,
    primary key (user_id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index analytics_users_last_day on analytics_users (tenant, last_day);

-- The figures of a day. Counters grow during the day; what is measured is written by a job.
create table analytics_days (
    tenant text not null references tenants (id),
    day integer not null,
    active_users bigint not null default 0,
    new_users bigint not null default 0,
    messages bigint not null default 0,
    characters bigint not null default 0,
    matches bigint not null default 0,
    matches_ended bigint not null default 0,
    matches_kept bigint not null default 0,
    -- The lengths of the matches that have ended, together, in ms.
    matches_ms bigint not null default 0,
    -- Users with a session on this day or one of the 6 or 29 days before. Null: not counted yet.
    weekly_users bigint,
    monthly_users bigint,
    -- Of the sampled messages of the day: pairs of a message and a recipient, and how many of them are delivered and
    -- read; the ages of the unread ones, together, in ms. Null: not measured yet.
    recipients bigint,
    delivered bigint,
    read bigint,
    unread_ms bigint,
    measured_at bigint,
    primary key (day, tenant)
);

-- How many users with this first day had a session so many days later.
create table analytics_cohorts (
    tenant text not null references tenants (id),
    first_day integer not null,
    age_days integer not null,
    users bigint not null,
    primary key (first_day, age_days, tenant)
);

-- The sampled messages of the last days: those of a tenant and day with the lowest ranks, which are random bits of
-- their ids.
create table analytics_samples (
    tenant text not null references tenants (id),
    day integer not null,
    rank bigint not null,
    conversation uuid not null,
    seq bigint not null,
    sent_at bigint not null,
    primary key (day, tenant, rank)
);
