-- What somebody has hidden from themselves does not show through elsewhere: not in quotes, not in what is unread.

-- Whether a user has hidden a message from themselves.
create function hides(p_tenant text, p_conversation uuid, p_user uuid, p_seq bigint) returns boolean
language sql stable as $$
    select exists (
        select 1 from marks k
        where k.user_id = p_user and k.conversation = p_conversation and k.seq = p_seq and k.tenant = p_tenant and k.hidden
    )
$$;

-- As in 0013, without hidden ones. The next 5000 as a range of seq, which has no gaps: with an open end Postgres may go through all
-- of a huge conversation instead, because the usual one is small.
create or replace function unread_of(p_tenant text, p_conversation uuid, p_user uuid, p_read bigint) returns bigint
language sql stable as $$
    select least(1000, count(*)) from messages x
    where x.conversation = p_conversation and x.tenant = p_tenant and x.seq > p_read and x.seq <= p_read + 5000
        and x.sender <> p_user and x.deleted_at is null and x.system is null
        and (x.expires_at is null or x.expires_at > millis()) and not hides(p_tenant, p_conversation, p_user, x.seq)
$$;

-- Each message is looked up by itself: joined, all of a huge conversation could be read for one mention.
create or replace function mentions_of(p_tenant text, p_conversation uuid, p_user uuid, p_read bigint) returns bigint
language sql stable as $$
    select least(1000, count(distinct n.seq)) from (
        (
            select m.seq from mentions m
            where m.conversation = p_conversation and m.tenant = p_tenant and m.user_id = p_user and m.seq > p_read
            order by m.seq limit 1000
        )
        union all (
            select m.seq from mentions m
            where m.conversation = p_conversation and m.tenant = p_tenant and m.seq > p_read
                and m.user_id = '00000000-0000-0000-0000-000000000000'
            order by m.seq limit 1000
        )
    ) as n
    where (
        select x.sender <> p_user and (x.expires_at is null or x.expires_at > millis()) from messages x
        where x.conversation = p_conversation and x.seq = n.seq and x.tenant = p_tenant limit 1
    ) and not hides(p_tenant, p_conversation, p_user, n.seq)
$$;

-- As in 0011, and nothing is quoted of what this member has hidden.
create or replace function messages_for(p_tenant text, p_conversation uuid, p_user uuid) returns setof own_message_states
language sql stable as $$
    select
        s.tenant, s.conversation, s.seq, s.rev, s.id, s.sender, s.client_id, s.text, s.attachments, s.reply_to, s.created_at, s.meta,
        s.system, s.reactions, s.edited_at, s.deleted_at, s.expires_at, s.pinned_at, s.mentions, s.mentions_everybody, s.forwarded,
        case when s.quote is not null and (s.quote ->> 'seq')::bigint >= (
            select b.first_seq from members b
            where b.conversation = p_conversation and b.user_id = p_user and b.tenant = p_tenant
        ) and not hides(p_tenant, p_conversation, p_user, (s.quote ->> 'seq')::bigint) then s.quote end,
        k.starred_at, case when s.reactions is not null then array(
        select r.emoji from reactions r
        where r.conversation = s.conversation and r.seq = s.seq and r.user_id = p_user and r.tenant = s.tenant
        order by r.created_at, r.emoji
    ) end
    from message_states s
    left join marks k on k.user_id = p_user and k.conversation = s.conversation and k.seq = s.seq and k.tenant = s.tenant
    where s.tenant = p_tenant and s.conversation = p_conversation and k.hidden is not true
        and s.seq >= (
            select b.first_seq from members b
            where b.conversation = p_conversation and b.user_id = p_user and b.tenant = p_tenant
        )
$$;
