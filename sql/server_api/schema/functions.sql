-- Notes the time of a change of a user, whichever statement makes it. An imported user is new now, whenever they were
-- created elsewhere.
create or replace function set_updated_at() returns trigger
language plpgsql as $$
begin
    new.updated_at := greatest(new.created_at, (extract(epoch from clock_timestamp()) * 1000)::bigint);
    return new;
end $$;
create or replace trigger users_created_at before insert on users for each row execute function set_updated_at();
create or replace trigger users_updated_at
before update of name, handle, avatar, picture_url, status_text, profile, locale, time_zone, roles, external_id, deactivated_at on users
for each row when (
    (old.name, old.handle, old.avatar, old.picture_url, old.status_text, old.profile, old.locale, old.time_zone, old.roles,
        old.external_id, old.deactivated_at)
    is distinct from
    (new.name, new.handle, new.avatar, new.picture_url, new.status_text, new.profile, new.locale, new.time_zone, new.roles,
        new.external_id, new.deactivated_at)
) execute function set_updated_at();
