-- name: own_options
-- The options that a user has chosen, and the time of the database: tenant, conversation, seq, user.
select now_ms() as now, array(
    select v.option from poll_votes v
    where v.tenant = $1 and v.conversation = $2 and v.seq = $3 and v.user_id = $4
    order by v.option
) as options

-- name: replace_votes
-- Replace the options that a user has chosen: tenant, conversation, seq, user, options, now.
with removed as (
    delete from poll_votes v
    where v.tenant = $1 and v.conversation = $2 and v.seq = $3 and v.user_id = $4 and v.option <> all($5::smallint[])
),
-- One row for the vote, however many options it has. That of an anonymous poll does not name the user.
noted as (
    insert into outbox (consumer, tenant, type, key, subject, seq, user_id, at)
    select i.consumer, i.tenant, i.type, m.conversation, m.id, m.seq, case when m.extra #>> '{poll,anonymous}' = 'false' then $4 end, $6
    from outbox_interests i
    join messages m on m.tenant = i.tenant and m.conversation = $2 and m.seq = $3 and m.deleted_at is null
    where i.tenant = $1 and i.type = 'poll.voted'
)
insert into poll_votes (tenant, conversation, seq, user_id, option, voted_at)
select $1, $2, $3, $4, o.option, $6 from unnest($5::smallint[]) as o (option)
on conflict do nothing

-- name: set_poll
-- Store the state of a poll: tenant, conversation, seq, rev, poll.
update messages set rev = $4, extra = jsonb_set(extra, '{poll}', $5::jsonb)
where tenant = $1 and conversation = $2 and seq = $3

-- name: remove_deadline
-- Tenant, conversation, seq.
delete from poll_deadlines where tenant = $1 and conversation = $2 and seq = $3

-- name: due
-- Polls whose time is over, the earliest first: limit.
select d.tenant, d.conversation::text, d.seq from poll_deadlines d
where d.closes_at <= now_ms()
order by d.closes_at limit $1

-- name: poll
-- A poll as all members see it; `poll` is null if the message is deleted or has expired: tenant, conversation, seq.
select s.id, s.poll, now_ms() as now from message_states s where s.tenant = $1 and s.conversation = $2 and s.seq = $3

-- name: visible_poll
-- The state of a message that the user can see: tenant, conversation, user, message.
select s.seq, s.poll, b.alias is not null as in_match
from messages m
join members b on b.tenant = m.tenant and b.conversation = m.conversation and b.user_id = $3 and m.seq >= b.first_seq
join message_states s on s.tenant = m.tenant and s.conversation = m.conversation and s.seq = m.seq
where m.tenant = $1 and m.conversation = $2 and m.id = $4 and not is_concealed($1, $2, $3, m.seq)

-- name: voters
-- Users who have chosen an option, by their id: tenant, conversation, seq, option, after this user, limit.
select v.user_id::text as user, p.name
from poll_votes v
join users p on p.tenant = v.tenant and p.id = v.user_id
where v.tenant = $1 and v.conversation = $2 and v.seq = $3 and v.option = $4
    and v.user_id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
order by v.user_id limit $6

-- name: voters_in_match
-- The same in a match, by alias.
select b.alias::text as user, p.name
from members b
join users p on p.tenant = b.tenant and p.id = b.user_id
join poll_votes v on v.tenant = b.tenant and v.conversation = b.conversation and v.seq = $3 and v.option = $4
    and v.user_id = b.user_id
where b.tenant = $1 and b.conversation = $2
    and b.alias > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
order by b.alias limit $6

-- name: votes_of_user
-- The polls in which a user has voted: tenant, user, limit.
select distinct v.conversation::text, v.seq from poll_votes v where v.tenant = $1 and v.user_id = $2 limit $3

-- name: export
-- Votes of the user: tenant, user, limit, after this one (conversation, seq, option).
select v.conversation::text, m.id::text as message, v.seq, v.option, v.voted_at
from poll_votes v
join messages m on m.tenant = v.tenant and m.conversation = v.conversation and m.seq = v.seq
where v.tenant = $1 and v.user_id = $2 and (v.conversation, v.seq, v.option) > ($4::uuid, $5::bigint, $6::smallint)
order by v.conversation, v.seq, v.option limit $3
