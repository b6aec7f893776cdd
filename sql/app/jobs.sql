-- name: claim
-- Claim a run of a job: job, interval in milliseconds. No row if another node has claimed it within the interval.
insert into job_runs (job, started_at) values ($1, now_ms())
on conflict (job) do update set started_at = now_ms() where job_runs.started_at <= now_ms() - $2
returning job
