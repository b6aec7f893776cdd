-- Look-ups that had no index: the devices of a user, and the match that a conversation belongs to.
create index devices_user on devices (user_id, tenant);
create index matches_conversation on matches (conversation, tenant);
