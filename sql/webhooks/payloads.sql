-- The content of events, as it is when they are sent. These statements return user ids, also in matches: webhooks are
-- for the backend of the tenant, which knows its users.

-- name: messages
-- Messages; an expired one as if it was deleted: tenant, conversation, seqs.
select m.conversation::text, m.id::text as message, m.seq, m.rev, m.sender::text, m.client_id, m.created_at, m.edited_at,
    case when x.is_expired then m.expires_at else m.deleted_at end as deleted_at,
    case when not x.is_expired then m.text end as text,
    case when not x.is_expired then m.attachments end as attachments,
    case when not x.is_expired then m.reply_to::text end as reply_to,
    case when not x.is_expired then m.meta end as meta,
    case when not x.is_expired then m.system end as system,
    case when not x.is_expired then m.extra end as extra, m.extra ->> 'thread' as thread,
    case when not x.is_expired then m.expires_at end as expires_at
from messages m
cross join lateral (select m.expires_at is not null and m.expires_at <= now_ms() as is_expired) as x
where m.tenant = $1 and m.conversation = $2 and m.seq = any($3::bigint[])

-- name: of_bot
-- Those of these messages that a bot may see: tenant, conversation, seqs, bot.
select w.seq from unnest($3::bigint[]) as w (seq) where may_bot_receive($1, $2, $4, w.seq, false)

-- name: commands
-- Commands for a bot that are not deleted: tenant, conversation, seqs, bot.
select m.conversation::text, m.id::text as message, m.seq, m.sender::text, m.text, m.extra -> 'command' as command, m.created_at
from messages m
where m.tenant = $1 and m.conversation = $2 and m.seq = any($3::bigint[]) and m.deleted_at is null and m.text is not null
    and (m.expires_at is null or m.expires_at > now_ms()) and may_bot_receive($1, $2, $4, m.seq, true)

-- name: conversation
-- Tenant, conversation.
select c.id::text as conversation, c.kind, c.title, c.description, c.picture::text, c.creator::text, c.members as member_count,
    c.announce, c.joining, c.history, c.disappear, c.slow_seconds, c.created_at,
    case when c.max_seq is not null then (case when c.creator = c.pair_low then c.pair_high else c.pair_low end)::text end as requested
from conversations c where c.tenant = $1 and c.id = $2

-- name: members
-- Members of a conversation: tenant, conversation, users.
select b.user_id::text as user, b.role from members b
where b.tenant = $1 and b.conversation = $2 and b.user_id = any($3::uuid[])

-- name: reactions
-- The reactions of users to messages, pairwise: tenant, conversation, seqs, users.
select m.id::text as message, m.seq, w.user_id::text as user, m.reactions, array(
    select r.emoji from reactions r
    where r.tenant = m.tenant and r.conversation = m.conversation and r.seq = m.seq and r.user_id = w.user_id
    order by r.created_at, r.emoji
) as emoji
from (select distinct x.seq, x.user_id from unnest($3::bigint[], $4::uuid[]) as x (seq, user_id)) as w
join messages m on m.tenant = $1 and m.conversation = $2 and m.seq = w.seq
where m.deleted_at is null and (m.expires_at is null or m.expires_at > now_ms())

-- name: receipts
-- Tenant, conversation, users.
select b.user_id::text as user, b.delivered_seq as delivered, b.read_seq as read from members b
where b.tenant = $1 and b.conversation = $2 and b.user_id = any($3::uuid[])

-- name: polls
-- Tenant, conversation, seqs.
select m.id::text as message, m.seq, m.extra -> 'poll' as poll from messages m
where m.tenant = $1 and m.conversation = $2 and m.seq = any($3::bigint[])
    and m.deleted_at is null and (m.expires_at is null or m.expires_at > now_ms())

-- name: votes
-- The options that users have chosen, pairwise: tenant, conversation, seqs, users.
select v.seq, v.user_id::text as user, v.option from poll_votes v
where v.tenant = $1 and v.conversation = $2 and (v.seq, v.user_id) in (select * from unnest($3::bigint[], $4::uuid[]))
order by v.option

-- name: user
-- Tenant, user.
select u.id::text as user, u.external_id, u.name, u.handle, u.avatar::text, u.picture_url, u.status_text, u.locale, u.time_zone,
    u.profile, u.roles, u.anonymous, u.bot, u.created_at, u.deactivated_at
from users u where u.tenant = $1 and u.id = $2

-- name: bans
-- Tenant, bans.
select b.id::text as ban, b.user_id::text as user, b.reason, b.actor, b.created_at, b.expires_at, b.lifted_at from bans b
where b.tenant = $1 and b.id = any($2::uuid[])

-- name: report
-- Tenant, report.
select r.id::text as report, r.reporter::text, r.target::text as user, r.conversation::text, r.message::text, r.reason, r.text, r.state,
    r.outcome, r.resolved_by, r.created_at, r.resolved_at
from reports r where r.tenant = $1 and r.id = $2

-- name: matches
-- Tenant, matches.
select m.id::text as match, m.conversation::text, m.queue, m.created_at, m.ended_at, m.reason,
    array(select b.user_id::text from match_members b where b.tenant = m.tenant and b.match = m.id order by b.user_id) as users
from matches m where m.tenant = $1 and m.id = any($2::uuid[])

-- name: actions
-- Tenant, actions.
select a.id::text as action, a.conversation::text, a.message::text, a.bot::text, a.user_id::text as user, a.data, a.created_at
from actions a where a.tenant = $1 and a.id = any($2::uuid[])
