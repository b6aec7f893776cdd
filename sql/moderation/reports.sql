-- name: lock_reporter
-- Reports of one user are inserted one at a time: tenant, reporter.
select 1 from users u where u.tenant = $1 and u.id = $2 for no key update

-- name: shared_conversation
-- The latest conversation of which the reporter and the target are or were members; no row if there is none. A former
-- member of a group can report what they could see until they left, also after they have joined again, and can be
-- reported. In a match the target is given by alias, elsewhere by user id. Tenant, reporter, target (null: the sender
-- of the message), conversation (null: any), message (null: none), oldest end of a match or of a membership.
with memberships as (
    select b.conversation, int8multirange(int8range(b.first_seq, null)) + coalesce(b.earlier_visible_seqs, '{}') as visible_seqs,
        null::bigint as last_seq
    from members b
    where b.tenant = $1 and b.user_id = $2 and ($4::uuid is null or b.conversation = $4)
    union all
    select f.conversation, f.visible_seqs, f.seq from former_members f
    join conversations g on g.tenant = f.tenant and g.id = f.conversation and g.kind = 'group'
    where f.tenant = $1 and f.user_id = $2 and f.left_at > $6 and ($4::uuid is null or f.conversation = $4)
    union all
    -- A direct conversation that the reporter was asked to accept.
    select r.conversation, int8multirange(int8range(1, null)), null from contact_requests r
    join conversations d on d.tenant = r.tenant and d.id = r.conversation and d.kind = 'direct'
    where r.tenant = $1 and r.user_id = $2 and ($4::uuid is null or r.conversation = $4)
    union all
    -- A group that the reporter was asked to join, for a report of the user who has asked. The reporter sees no messages of
    -- it, so the report contains none: no message is near this number.
    select r.conversation, '{}', -1000000000 from contact_requests r
    join conversations d on d.tenant = r.tenant and d.id = r.conversation and d.kind = 'group'
    where r.tenant = $1 and r.user_id = $2 and ($4::uuid is null or r.conversation = $4) and $5::uuid is null and r.sender = $3
    union all
    select m.conversation, int8multirange(int8range(1, null)), null from match_members p
    join matches m on m.tenant = p.tenant and m.id = p.match
    where p.tenant = $1 and p.user_id = $2 and (p.ended_at is null or p.ended_at > $6)
        and ($4::uuid is null or m.conversation = $4)
)
select c.id::text as conversation, target.user_id::text as target, coalesce(target.alias, target.user_id)::text as reported_as,
    coalesce(x.seq, memberships.last_seq) as seq
from memberships
join conversations c on c.tenant = $1 and c.id = memberships.conversation
left join messages x on x.tenant = c.tenant and x.conversation = c.id and x.id = $5
    and x.seq <@ memberships.visible_seqs and x.seq <= coalesce(memberships.last_seq, x.seq)
cross join lateral (
    select o.user_id, o.alias from (
        select o.user_id, o.alias from members o where o.tenant = $1 and o.alias = $3 and o.conversation = c.id
        union all
        select o.user_id, o.alias from former_members o where o.tenant = $1 and o.alias = $3 and o.conversation = c.id
    ) as o
    where c.kind = 'match' and ($5::uuid is null or o.user_id = x.sender)
    union all
    select x.sender, visible_id($1, c.id, x.sender) where c.kind = 'match' and $3 is null and x.sender is not null
    union all
    select coalesce(x.sender, $3), null
    where c.kind <> 'match' and case when $5::uuid is null then
            exists (select 1 from members o where o.tenant = $1 and o.conversation = c.id and o.user_id = $3)
            or exists (
                select 1 from matches m
                join match_members o on o.tenant = m.tenant and o.match = m.id
                where m.tenant = $1 and m.conversation = c.id and o.user_id = $3
            )
            or exists (
                select 1 from former_members o
                where o.tenant = $1 and o.conversation = c.id and o.user_id = $3 and o.left_at > $6 and c.kind = 'group'
            )
        else x.sender = coalesce($3, x.sender) end
) as target
-- A membership comes before what the user has seen of the same group otherwise.
order by c.active_at desc, c.id desc, seq desc nulls first limit 1

-- name: equal_report
-- An equal report: tenant, reporter, alias or user id of the target, message (null: none), oldest.
select r.id::text from reports r
where r.tenant = $1 and r.reporter = $2 and r.reported_as = $3 and r.message is not distinct from $4::uuid and r.created_at > $5
order by r.created_at limit 1

-- name: recent_reports
-- The number of recent reports of a user, and the time of the first: tenant, reporter, oldest.
select count(*) as count, min(r.created_at) as first from reports r
where r.tenant = $1 and r.reporter = $2 and r.created_at > $3

-- name: lock_picture
-- An upload of the reporter that is not deleted: tenant, upload, owner.
select 1 from uploads u where u.tenant = $1 and u.id = $2 and u.owner = $3 and u.removed_at is null for share

-- name: add
-- Add a report with the transcript of the messages around it: tenant, id, reporter, target, conversation, message,
-- reason, text, picture, now, seq of the message (null: the end of the conversation), maximum number of messages,
-- maximum bytes, alias or user id of the target. The messages nearest to the reported one are stored, and the reported
-- one itself whatever its size. Recently deleted messages are included. Each message has its first text and the earlier
-- text that was current for the longest time. The reported message also has its other earlier texts, the longest
-- current ones first, up to half of the bytes: an edit does not remove the evidence. Values that other programs stored
-- in another form are left out.
with center as (
    select coalesce($11::bigint, c.seq) as seq from conversations c where c.tenant = $1 and c.id = $5
),
nearby as (
    select m.seq, m.id, m.sender, m.created_at, coalesce(m.text, w.text) as text,
        jsonb_path_query_array(coalesce(m.attachments, w.attachments), 'strict $[*] ? (@.type() == "object")', silent => true) as attachments,
        jsonb_path_query_array(
            w.edits, 'strict $[*] ? (@.rev.type() == "number" && @.until.type() == "number")', silent => true
        ) as edits,
        jsonb_path_query_first(coalesce(m.meta, w.meta), 'strict $ ? (@.type() == "object")', silent => true) as meta,
        jsonb_path_query_first(coalesce(m.system, w.system), 'strict $ ? (@.type() == "object")', silent => true) as system,
        case when w.seq is not null then m.deleted_at end as removed_at, abs(m.seq - center.seq) as distance
    from center
    join messages m on m.tenant = $1 and m.conversation = $5
        and m.seq between center.seq - $12::integer and center.seq + $12::integer
    left join withheld_messages w on w.conversation = m.conversation and w.seq = m.seq and w.tenant = m.tenant and w.until > $10
    order by distance, m.seq limit $12::integer
),
measured as (
    select n.*, e.earlier, sum(200 + octet_length(coalesce(n.text, '')) + octet_length(coalesce(n.attachments::text, ''))
        + octet_length(coalesce(n.meta::text, '')) + octet_length(coalesce(n.system::text, '')) + e.bytes)
        over (order by n.distance, n.seq) as bytes
    from nearby n
    cross join lateral (
        select coalesce(jsonb_agg(l.text order by l.rev), '[]') as earlier, coalesce(sum(octet_length(l.text)), 0) as bytes
        from (
            select k.*, row_number() over by_priority as rank,
                sum(case when k.is_first then 0 else octet_length(k.text) end) over by_priority as bytes
            from (
                select coalesce(o.text, '') as text, o.rev, row_number() over (order by o.rev) = 1 as is_first,
                    o.until - coalesce(lag(o.until) over (order by o.rev), n.created_at) as current_ms
                from (
                    select x.text, x.rev, x.until from message_edits x where x.tenant = $1 and x.conversation = $5 and x.seq = n.seq
                    union all
                    select x.text, x.rev, x.until from jsonb_to_recordset(n.edits) as x (text text, rev bigint, until bigint)
                ) as o
            ) as k
            window by_priority as (order by k.is_first desc, k.current_ms desc, k.rev)
        ) as l
        where l.rank <= case when n.distance = 0 then 2 else 1 end
            or (l.bytes <= $13::integer / 2 and l.rank <= case when n.distance = 0 then 200 else 2 end)
    ) as e
),
selected as (
    select coalesce(
        jsonb_agg(
            jsonb_build_object('seq', s.seq, 'message', s.id, 'sender', s.sender, 'text', s.text,
                'attachments', coalesce(s.attachments, '[]'), 'at', s.created_at, 'earlier', s.earlier, 'removed_at', s.removed_at,
                'meta', s.meta, 'system', s.system)
            order by s.seq
        ),
        '[]'
    ) as transcript
    from measured s where s.bytes <= $13::integer or s.distance = 0
),
new_report as (
    insert into reports (tenant, id, reporter, target, conversation, message, reason, text, picture, created_at, transcript, reported_as)
    select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, selected.transcript, $14 from selected
    returning tenant, id, transcript
),
new_report_uploads as (
    insert into report_uploads (tenant, report, upload)
    select new_report.tenant, new_report.id, referenced.id
    from new_report
    cross join lateral (
        select (f.id #>> '{}')::uuid as id from (
            select jsonb_path_query(new_report.transcript, '$[*].attachments[*].upload')
            union all select jsonb_path_query(new_report.transcript, '$[*].system.picture')
        ) as f (id) where f.id @? '$ ? (@ like_regex "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")'
        union select $9::uuid where $9::uuid is not null
    ) as referenced
    cross join lateral (
        select 1 from uploads u where u.tenant = new_report.tenant and u.id = referenced.id limit 1 for share of u
    ) as locked
)
select new_report.id::text from new_report

-- name: page
-- Reports, the latest first: tenant, the id to continue before (null: from the latest), limit.
select r.id::text, r.reporter::text, r.target::text as user, r.conversation::text, r.message::text, r.reason, r.text,
    r.picture::text, r.state, r.outcome, r.note, r.resolved_by, r.resolved_at, r.created_at
from reports r
where r.tenant = $1 and r.id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by r.id desc limit $3

-- name: page_in_state
-- Reports in one state: tenant, the id to continue before (null: from the latest), limit, state.
select r.id::text, r.reporter::text, r.target::text as user, r.conversation::text, r.message::text, r.reason, r.text,
    r.picture::text, r.state, r.outcome, r.note, r.resolved_by, r.resolved_at, r.created_at
from reports r
where r.tenant = $1 and r.state = $4 and r.id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
order by r.id desc limit $3

-- name: page_about
-- Reports about one user: tenant, the id to continue before (null: from the latest), limit, user, state (null: any).
select r.id::text, r.reporter::text, r.target::text as user, r.conversation::text, r.message::text, r.reason, r.text,
    r.picture::text, r.state, r.outcome, r.note, r.resolved_by, r.resolved_at, r.created_at
from reports r
where r.tenant = $1 and r.target = $4 and r.id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    and ($5::text is null or r.state = $5)
order by r.id desc limit $3

-- name: get
-- A report with its transcript: tenant, id.
select r.id::text, r.reporter::text, r.target::text as user, r.conversation::text, r.message::text, r.reason, r.text,
    r.picture::text, r.state, r.outcome, r.note, r.resolved_by, r.resolved_at, r.created_at, r.transcript
from reports r where r.tenant = $1 and r.id = $2

-- name: get_file
-- A file of a report: its picture, an attachment in its transcript, or a group picture that was set there, even if the
-- owner has deleted it. Tenant, report, upload.
select u.key, u.mime, u.size, encode(u.sha256, 'hex') as sha256, u.name
from reports r
join uploads u on u.tenant = r.tenant and u.id = $3 and u.key not like 'deleted:%'
where r.tenant = $1 and r.id = $2
    and (
        r.picture = u.id
        or jsonb_path_exists(r.transcript, '$[*].attachments[*].upload ? (@ == $upload)', jsonb_build_object('upload', u.id))
        or jsonb_path_exists(r.transcript, '$[*].system.picture ? (@ == $upload)', jsonb_build_object('upload', u.id))
    )

-- name: lock
-- A report is resolved by one admin at a time: tenant, id.
select r.state, r.target::text as user, r.reason from reports r where r.tenant = $1 and r.id = $2 for update

-- name: resolve
-- Tenant, id, outcome, note, actor, now.
update reports set state = 'resolved', outcome = $3, note = $4, resolved_by = $5, resolved_at = $6 where tenant = $1 and id = $2

-- name: sweep
-- Delete old resolved reports. Returns their number: oldest to keep, limit.
with deleted as (
    delete from reports where ctid = any(array(
        select r.ctid from reports r where r.state = 'resolved' and r.resolved_at < $1 order by r.resolved_at limit $2
    )) returning 1
)
select count(*) from deleted

-- name: sweep_withheld_messages
-- Delete the content of deleted messages that reports may no longer use. Returns the number of rows: now, limit.
with deleted as (
    delete from withheld_messages w
    where w.ctid = any(array(select o.ctid from withheld_messages o where o.until <= $1 order by o.until limit $2))
    returning 1
)
select count(*) from deleted

-- name: sweep_withheld_uploads
-- The same for the uploads of deleted messages: now, limit.
with deleted as (
    delete from withheld_uploads w
    where w.ctid = any(array(select o.ctid from withheld_uploads o where o.until <= $1 order by o.until limit $2))
    returning 1
)
select count(*) from deleted
