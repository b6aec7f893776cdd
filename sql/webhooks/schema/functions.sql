-- Whether a bot gets an event about a message: it is a member that may see it, and for the event about a command, it is
-- for the bot.
create or replace function may_bot_receive(p_tenant text, p_conversation uuid, p_bot uuid, p_seq bigint, p_is_command boolean)
returns boolean language sql stable as $$
    select exists (
        select 1 from messages m
        join members b on b.conversation = m.conversation and b.tenant = m.tenant and b.user_id = p_bot
        where m.conversation = p_conversation and m.seq = p_seq and m.tenant = p_tenant and m.seq >= b.first_seq
            and m.system is null and (not p_is_command or m.extra #>> '{command,bot}' = p_bot::text)
    ) and not is_concealed(p_tenant, p_conversation, p_bot, p_seq)
$$;

-- The changes that webhooks are about, beside those that a statement adds to the outbox itself: new messages
-- (append_messages), receipts (advance_receipts) and votes (sql/polls). A row that no consumer wants to know of costs one
-- look-up; see docs/webhooks.md for the types.

-- New members come in numbers: this is one statement for all of them.
create or replace function add_members_to_outbox() returns trigger
language plpgsql as $$
begin
    insert into outbox (consumer, tenant, type, key, user_id, at)
    select i.consumer, i.tenant, i.type, n.conversation, n.user_id, n.joined_at
    from new_members n
    join outbox_interests i on i.type = 'member.added' and i.tenant = n.tenant
    where current_setting('chatd.outbox', true) is distinct from 'off'
    order by n.conversation, n.rev;
    return null;
end $$;

create or replace trigger messages_outbox_system after insert on messages for each row
    when (new.system is not null)
    execute function add_to_outbox('message.created', 'conversation', 'id', 'sender', '', 'created_at');
create or replace trigger messages_outbox_edited after update of edited_at on messages for each row
    when (new.edited_at is not null and new.edited_at is distinct from old.edited_at)
    execute function add_to_outbox('message.edited', 'conversation', 'id', 'sender', '', 'edited_at');
create or replace trigger messages_outbox_deleted after update of deleted_at on messages for each row
    when (old.deleted_at is null and new.deleted_at is not null)
    execute function add_to_outbox('message.deleted', 'conversation', 'id', 'sender', '', 'deleted_at');

-- The reactions to a message go with it: then its deletion is the only event.
create or replace function add_reactions_to_outbox() returns trigger
language plpgsql as $$
declare
    p_type text := tg_argv[0];
begin
    insert into outbox (consumer, tenant, type, key, subject, seq, user_id, at)
    select i.consumer, i.tenant, i.type, r.conversation, m.id, r.seq, r.user_id, (extract(epoch from clock_timestamp()) * 1000)::bigint
    from changed_reactions r
    join outbox_interests i on i.type = p_type and i.tenant = r.tenant
    join messages m on m.conversation = r.conversation and m.seq = r.seq and m.tenant = r.tenant and m.deleted_at is null
    where current_setting('chatd.outbox', true) is distinct from 'off'
    order by r.conversation, r.seq;
    return null;
end $$;

create or replace trigger reactions_outbox_added after insert on reactions referencing new table as changed_reactions
    for each statement execute function add_reactions_to_outbox('reaction.added');
create or replace trigger reactions_outbox_removed after delete on reactions referencing old table as changed_reactions
    for each statement execute function add_reactions_to_outbox('reaction.removed');

create or replace trigger messages_outbox_poll_closed after update of extra on messages for each row
    when (old.extra #> '{poll,closed_at}' is null and new.extra #> '{poll,closed_at}' is not null)
    execute function add_to_outbox('poll.closed', 'conversation', 'id', 'sender', '', '');

create or replace trigger conversations_outbox_created after insert on conversations for each row
    execute function add_to_outbox('conversation.created', 'id', 'id', 'creator', '', 'created_at');
create or replace trigger conversations_outbox_updated
    after update of kind, title, description, picture, announce, joining, history, disappear, slow_seconds, keep_days, max_seq
    on conversations for each row
    when ((old.kind, old.title, old.description, old.picture, old.announce, old.joining, old.history, old.disappear,
        old.slow_seconds, old.keep_days, old.max_seq is null) is distinct from (new.kind, new.title, new.description, new.picture, new.announce,
        new.joining, new.history, new.disappear, new.slow_seconds, new.keep_days, new.max_seq is null))
    execute function add_to_outbox('conversation.updated', 'id', 'id', '', '', '');

create or replace trigger members_outbox_added after insert on members referencing new table as new_members
    for each statement execute function add_members_to_outbox();
create or replace trigger members_outbox_updated after update of role on members for each row
    when (old.role is distinct from new.role)
    execute function add_to_outbox('member.updated', 'conversation', '', 'user_id', '', '');
create or replace trigger former_members_outbox_removed after insert on former_members for each row
    execute function add_to_outbox('member.removed', 'conversation', '', 'user_id', 'actor', 'left_at');
create or replace trigger former_members_outbox_removed_again after update of left_at on former_members for each row
    execute function add_to_outbox('member.removed', 'conversation', '', 'user_id', 'actor', 'left_at');

create or replace trigger users_outbox_created after insert on users for each row
    execute function add_to_outbox('user.created', 'id', '', 'id', '', 'created_at');
-- A trigger of people counts the changes of a profile.
create or replace trigger users_outbox_updated
    after update of name, handle, avatar, picture_url, status_text, profile, locale, time_zone, roles, deactivated_at on users
    for each row when (
        (old.profile_version, old.roles, old.deactivated_at) is distinct from (new.profile_version, new.roles, new.deactivated_at)
        and new.erased_at is null
    )
    execute function add_to_outbox('user.updated', 'id', '', 'id', '', '');
create or replace trigger users_outbox_erased after update of erased_at on users for each row
    when (old.erased_at is null and new.erased_at is not null)
    execute function add_to_outbox('user.erased', 'id', '', 'id', '', 'erased_at');
-- An anonymous account that was never used again, see accounts/idle_accounts.py.
create or replace trigger users_outbox_deleted after delete on users for each row
    when (old.erased_at is null)
    execute function add_to_outbox('user.erased', 'id', '', 'id', '', '');
create or replace trigger bans_outbox_banned after insert on bans for each row
    when (new.user_id is not null)
    execute function add_to_outbox('user.banned', 'user_id', 'id', 'user_id', '', 'created_at');
create or replace trigger bans_outbox_lifted after update of lifted_at on bans for each row
    when (new.user_id is not null and old.lifted_at is null and new.lifted_at is not null)
    execute function add_to_outbox('user.unbanned', 'user_id', 'id', 'user_id', '', 'lifted_at');

create or replace trigger reports_outbox_created after insert on reports for each row
    execute function add_to_outbox('report.created', 'id', 'id', 'target', 'reporter', 'created_at');
create or replace trigger reports_outbox_resolved after update of state on reports for each row
    when (old.state = 'open' and new.state = 'resolved')
    execute function add_to_outbox('report.resolved', 'id', 'id', 'target', 'reporter', 'resolved_at');

create or replace trigger matches_outbox_created after insert on matches for each row
    execute function add_to_outbox('match.created', 'conversation', 'id', '', '', 'created_at');
create or replace trigger matches_outbox_ended after update of ended_at on matches for each row
    when (old.ended_at is null and new.ended_at is not null)
    execute function add_to_outbox('match.ended', 'conversation', 'id', '', '', 'ended_at');

create or replace trigger actions_outbox_created after insert on actions for each row
    execute function add_to_outbox('action.created', 'conversation', 'id', 'user_id', 'bot', 'created_at');

-- An action that was delivered to the endpoint of its bot is taken.
create or replace function take_delivered_action() returns trigger
language plpgsql as $$
begin
    update actions a set due_at = null
    from webhook_endpoints e
    where e.id = new.endpoint and e.tenant = new.tenant and a.tenant = new.tenant and a.id = new.subject and a.bot = e.bot;
    return null;
end $$;
create or replace trigger webhook_deliveries_action after update of state on webhook_deliveries for each row
    when (new.type = 'action.created' and new.state = 'delivered' and old.state <> 'delivered')
    execute function take_delivered_action();
