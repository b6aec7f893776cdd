-- Triggers that keep profiles consistent, whichever statement changes them.

-- Counts the changes of a profile.
create or replace function count_profile_change() returns trigger
language plpgsql as $$
begin
    new.profile_version := old.profile_version + 1;
    new.profile_changed := pg_current_xact_id();
    return new;
end $$;
create or replace trigger users_profile
before update of name, handle, avatar, picture_url, status_text, profile, locale, time_zone, erased_at on users
for each row when (
    (old.name, old.handle, old.avatar, old.picture_url, old.status_text, old.profile, old.locale, old.time_zone, old.erased_at)
    is distinct from
    (new.name, new.handle, new.avatar, new.picture_url, new.status_text, new.profile, new.locale, new.time_zone, new.erased_at)
) execute function count_profile_change();

-- A removed file is no avatar any more.
create or replace function remove_avatar() returns trigger
language plpgsql as $$
begin
    update users u set avatar = null where u.tenant = new.tenant and u.id = new.owner and u.avatar = new.id;
    return null;
end $$;
create or replace trigger uploads_avatar after update of removed_at on uploads for each row
    when (old.removed_at is null and new.removed_at is not null) execute function remove_avatar();
