-- name: claim
-- Claim a run of a job: job, interval in milliseconds. No row if another node has claimed it within the interval.
insert into rounds (job, at) values ($1, millis())
on conflict (job) do update set at = millis() where rounds.at <= millis() - $2
returning job
