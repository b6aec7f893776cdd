-- Those who were erased since a time: few, among all users.
create index users_erased on users (erased_at) where erased_at is not null;
