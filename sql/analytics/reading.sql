-- name: days
-- The figures of the days from one to another: tenant, first day, last day.
select d.day, d.active_users, d.new_users, d.weekly_users, d.monthly_users, d.messages, d.characters, d.matches, d.matches_ended,
    d.matches_kept, d.matches_ms, d.recipients, d.delivered, d.read, d.unread_ms, d.measured_at
from analytics_days d where d.tenant = $1 and d.day between $2 and $3 order by d.day

-- name: cohorts
-- How many users of the cohorts from one day to another came back: tenant, first day, last day; ages in days.
select k.first_day, k.age_days, k.users from analytics_cohorts k
where k.tenant = $1 and k.first_day between $2 and $3 and k.age_days = any($4::integer[]) order by k.first_day, k.age_days
