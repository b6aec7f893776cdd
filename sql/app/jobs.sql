-- name: claim
-- Claim a run of a job: job, interval in milliseconds. No row if another node has claimed it within the interval.
insert into job_runs (job, at) values ($1, now_ms())
on conflict (job) do update set at = now_ms() where job_runs.at <= now_ms() - $2
returning job
