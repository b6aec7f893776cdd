-- name: claim
-- Begin a round that only one node does: job, milliseconds between two. No row for who comes too early.
insert into rounds (job, at) values ($1, millis())
on conflict (job) do update set at = millis() where rounds.at <= millis() - $2
returning job
