-- name: count_users
-- Count the users of the week and the month that end with a day: tenant, day.
update analytics_days d set weekly_users = c.weekly, monthly_users = c.monthly
from (
    select count(*) filter (where active_within(a.days, a.last_day, $2::integer, 7)) as weekly,
        count(*) filter (where active_within(a.days, a.last_day, $2::integer, 30)) as monthly
    from analytics_users a where a.tenant = $1 and a.last_day > $2::integer - 30
) as c
where d.tenant = $1 and d.day = $2

-- name: measure
-- Measure the sampled messages of a day: tenant, day, now. A recipient is a present member other than the sender who was
-- one when the message was sent; conversations of more than 100 members are left out.
update analytics_days d set
    recipients = m.recipients, delivered = m.delivered, read = m.read, unread_ms = m.unread_ms, measured_at = $3
from (
    select count(*) as recipients, count(*) filter (where b.delivered_seq >= s.seq) as delivered,
        count(*) filter (where b.read_seq >= s.seq) as read,
        coalesce(sum($3::bigint - s.sent_at) filter (where b.read_seq < s.seq), 0) as unread_ms
    from analytics_samples s
    join conversations c on c.tenant = s.tenant and c.id = s.conversation and c.members <= 100
    join messages x on x.tenant = s.tenant and x.conversation = s.conversation and x.seq = s.seq and x.deleted_at is null
    join members b on b.tenant = s.tenant and b.conversation = s.conversation and b.user_id <> x.sender and b.joined_seq < s.seq
    where s.tenant = $1 and s.day = $2
) as m
where d.tenant = $1 and d.day = $2

-- name: sweep_samples
-- Delete the samples of days before this one: day, limit. Returns how many.
with gone as (
    delete from analytics_samples where ctid = any(array(
        select s.ctid from analytics_samples s where s.day < $1 order by s.day limit $2
    )) returning 1
)
select count(*) from gone

-- name: sweep_days
-- Delete the figures of days before this one: day, limit. Returns how many.
with gone as (
    delete from analytics_days where ctid = any(array(
        select d.ctid from analytics_days d where d.day < $1 order by d.day limit $2
    )) returning 1
)
select count(*) from gone

-- name: sweep_cohorts
-- The same of cohorts.
with gone as (
    delete from analytics_cohorts where ctid = any(array(
        select k.ctid from analytics_cohorts k where k.first_day < $1 order by k.first_day limit $2
    )) returning 1
)
select count(*) from gone
