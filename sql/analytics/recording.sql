-- name: note_active
-- Note that users had a session on a day, once: tenant, day, users. A day before the last one can be noted later. Users
-- that do not exist, or are erased, are left out. The counters of the day and of the cohorts follow.
with changed as (
    insert into analytics_users as a (tenant, user_id, first_day, last_day, days)
    select u.tenant, u.id, $2::integer, $2::integer, 1 from users u
    where u.tenant = $1 and u.id = any($3::uuid[]) and u.erased_at is null order by u.id
    on conflict (user_id, tenant) do update set
        last_day = greatest(a.last_day, excluded.last_day),
        days = case
            when excluded.last_day - a.last_day > 61 then 1
            when excluded.last_day > a.last_day then ((a.days << (excluded.last_day - a.last_day)) & 4611686018427387903) | 1
            else a.days | (1::bigint << (a.last_day - excluded.last_day))
        end
    where excluded.last_day > a.last_day
        or (a.last_day - excluded.last_day <= 61 and (a.days >> (a.last_day - excluded.last_day)) & 1 = 0)
    returning a.first_day
),
counted as (
    select c.first_day, count(*) as users from changed c group by c.first_day
),
cohorts as (
    insert into analytics_cohorts as k (tenant, first_day, age_days, users)
    select $1, c.first_day, $2::integer - c.first_day, c.users from counted c where c.first_day <= $2::integer order by c.first_day
    on conflict (first_day, age_days, tenant) do update set users = k.users + excluded.users
)
insert into analytics_days as d (tenant, day, active_users, new_users)
select $1, $2::integer, sum(c.users), coalesce(sum(c.users) filter (where c.first_day = $2::integer), 0)
from counted c having count(*) > 0
on conflict (day, tenant) do update set
    active_users = d.active_users + excluded.active_users, new_users = d.new_users + excluded.new_users

-- name: add_counts
-- Add to the counters of a day: tenant, day, messages, characters, matches, ended ones, kept ones, their length in ms.
insert into analytics_days as d (tenant, day, messages, characters, matches, matches_ended, matches_kept, matches_ms)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (day, tenant) do update set
    messages = d.messages + excluded.messages, characters = d.characters + excluded.characters,
    matches = d.matches + excluded.matches, matches_ended = d.matches_ended + excluded.matches_ended,
    matches_kept = d.matches_kept + excluded.matches_kept, matches_ms = d.matches_ms + excluded.matches_ms

-- name: add_samples
-- Add sampled messages: tenant, day; ranks, conversations, seqs and times, pairwise.
insert into analytics_samples (tenant, day, rank, conversation, seq, sent_at)
select $1, $2, s.rank, s.conversation, s.seq, s.sent_at
from unnest($3::bigint[], $4::uuid[], $5::bigint[], $6::bigint[]) as s (rank, conversation, seq, sent_at)
order by s.rank
on conflict (day, tenant, rank) do nothing

-- name: highest_rank
-- The rank of the last sample that stays, if there are as many: tenant, day, how many stay.
select s.rank from analytics_samples s where s.tenant = $1 and s.day = $2 order by s.rank offset $3::integer - 1 limit 1

-- name: limit_samples
-- Delete the samples above a rank: tenant, day, rank.
delete from analytics_samples where tenant = $1 and day = $2 and rank > $3

-- name: forget
-- Tenant, user.
delete from analytics_users where tenant = $1 and user_id = $2

-- name: export
-- Tenant, user, limit.
select to_char(date '1970-01-01' + a.first_day, 'YYYY-MM-DD') as first_day,
    to_char(date '1970-01-01' + a.last_day, 'YYYY-MM-DD') as last_day,
    array(
        select to_char(date '1970-01-01' + a.last_day - n, 'YYYY-MM-DD') from generate_series(61, 0, -1) as n
        where (a.days >> n) & 1 = 1
    ) as days
from analytics_users a where a.tenant = $1 and a.user_id = $2 limit $3
