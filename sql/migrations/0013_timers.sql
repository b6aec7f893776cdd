-- Messages and time: sent later, gone after a while, removed with whoever wrote them.

-- Now, in milliseconds, by the clock of the database: one for all nodes, whatever theirs say. The same within a statement.
create function millis() returns bigint language sql stable as $$
    select (extract(epoch from statement_timestamp()) * 1000)::bigint
$$;

-- `taken_until`: until then one node is at it. If that node dies another one takes it then; the client_id keeps it from being sent twice.
alter table scheduled_messages
    add column taken_until bigint;
create index scheduled_messages_sender on scheduled_messages (sender, id, tenant);

-- Files of messages that are yet to be sent: they are in use, and nobody but their owner may read them by that.
create table scheduled_uploads (
    tenant text not null,
    upload uuid not null,
    scheduled uuid not null,
    primary key (upload, scheduled, tenant),
    foreign key (tenant, upload) references uploads (tenant, id) on delete cascade,
    foreign key (tenant, scheduled) references scheduled_messages (tenant, id) on delete cascade
);
create index scheduled_uploads_scheduled on scheduled_uploads (scheduled, tenant);

-- Up to here all messages are tombstones because they were too old: so that nobody looks at them again.
alter table conversations
    add column swept_seq bigint not null default 0;

-- Work that one node does for all, now and then: when it was last begun.
create table rounds (
    job text primary key,
    at bigint not null
);

-- People whose traces are being removed. `position`: the client_id up to which their messages are done in this pass, `buried` how
-- many messages became tombstones, in this pass and in all. The row stays, as the proof that it was done.
create table erasures (
    tenant text not null,
    user_id uuid not null,
    requested_at bigint not null,
    actor text not null,
    position text not null default '',
    buried_in_pass bigint not null default 0,
    buried bigint not null default 0,
    taken_until bigint,
    done_at bigint,
    primary key (user_id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index erasures_open on erasures (requested_at) where done_at is null;

-- A message as everybody may see it. `quote`: the beginning of what it replies to, as that is now. One whose time is over is shown as
-- the tombstone that it is about to become: nobody sees it after that time, however late whoever sweeps comes.
create or replace view message_states as
select
    m.tenant, m.conversation, m.seq, m.rev, m.id::text as id, m.sender::text as sender, m.client_id,
    case when x.over then null else m.text end as text,
    case when x.over then null else m.attachments end as attachments,
    case when x.over then null else m.reply_to::text end as reply_to,
    m.created_at,
    case when x.over then null else m.meta end as meta,
    case when x.over then null else m.system end as system,
    case when x.over then null else m.reactions end as reactions,
    case when x.over then null else m.edited_at end as edited_at,
    case when x.over then m.expires_at else m.deleted_at end as deleted_at,
    case when x.over then null else m.expires_at end as expires_at,
    case when x.over then null else m.pinned_at end as pinned_at,
    case when x.over then null else m.extra -> 'mentions' end as mentions,
    case when x.over then null else (m.extra -> 'everybody')::boolean end as mentions_everybody,
    case when x.over then null else m.extra -> 'forwarded' end as forwarded,
    case when m.reply_to is not null and not x.over then (
        select jsonb_build_object(
            'message', q.id, 'seq', q.seq, 'sender', q.sender,
            'text', case when q.expires_at is null or q.expires_at > millis() then left(q.text, 200) end,
            'deleted', q.deleted_at is not null or (q.expires_at is not null and q.expires_at <= millis())
        )
        from messages q where q.conversation = m.conversation and q.id = m.reply_to and q.tenant = m.tenant
    ) end as quote
from messages m
cross join lateral (select m.expires_at is not null and m.expires_at <= millis() as over) as x;

-- Messages of others after a position that count as unread: not tombstones, not what the system says. Of the next 5000 messages, and
-- up to 1000: whoever asks for it often must not make the server read all of a huge conversation.
create or replace function unread_of(p_tenant text, p_conversation uuid, p_user uuid, p_read bigint) returns bigint
language sql stable as $$
    select least(1000, count(*) filter (where n.sender <> p_user and n.deleted_at is null and n.system is null
            and (n.expires_at is null or n.expires_at > millis()))) from (
        select x.sender, x.deleted_at, x.system, x.expires_at from messages x
        where x.conversation = p_conversation and x.tenant = p_tenant and x.seq > p_read
        order by x.seq limit 5000
    ) as n
$$;

-- Of those, the ones that mention this user, or everybody.
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
    where not exists (
        select 1 from messages x
        where x.conversation = p_conversation and x.seq = n.seq and x.tenant = p_tenant
            and (x.sender = p_user or x.expires_at <= millis())
    )
$$;
