-- name: renew_epoch
-- The data is from a backup. See database_epoch.
insert into database_epoch default values on conflict (only_row) do update set value = gen_random_uuid()
