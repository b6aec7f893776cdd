-- These statements look rows up one by one by key (lateral, on conflict, by ctid), never by a join that Postgres may
-- reorder: the plan is made once, perhaps for empty tables, and would later read whole tables for each batch.

-- name: next_unindexed
-- Advance the scan of all conversations, and return those with messages that are not indexed: number of conversations
-- to check. No row while another node scans. After the last conversation the scan starts again.
with scan as materialized (
    select s.after_conversation, s.after_tenant from search_scan s for update skip locked
),
scanned as materialized (
    select c.tenant, c.id, c.rev from conversations c
    where (c.id, c.tenant) > ((select after_conversation from scan), (select after_tenant from scan))
    order by c.id, c.tenant limit $1
),
last_scanned as (
    select l.id, l.tenant from scanned l order by l.id desc, l.tenant desc limit 1
),
moved_scan as (
    update search_scan s
    set after_conversation = case when n.count < $1 then '00000000-0000-0000-0000-000000000000'::uuid else (select id from last_scanned) end,
        after_tenant = case when n.count < $1 then '' else (select tenant from last_scanned) end
    from (select count(*) from scanned) n
    where exists (select 1 from scan)
)
select l.tenant, l.id::text as conversation, l.rev - coalesce(p.rev, 0) as changes from scanned l
left join lateral (
    select p.rev from search_positions p where p.tenant = l.tenant and p.conversation = l.id limit 1
) as p on true
where l.rev > coalesce(p.rev, 0) and exists (
    select 1 from messages m where m.conversation = l.id and m.tenant = l.tenant and m.rev > coalesce(p.rev, 0)
)

-- name: unindexed_changes
-- Changed messages after the position of each conversation, by rev: tenants, conversations, pairwise; limit for each.
-- `is_searchable`: the message belongs in the index.
select u.tenant, u.id::text as conversation, coalesce(p.rev, 0) as position, m.*
from unnest($1::text[], $2::uuid[]) as u (tenant, id)
left join lateral (
    select p.rev from search_positions p where p.tenant = u.tenant and p.conversation = u.id limit 1
) as p on true
cross join lateral (
    select m.seq, m.rev, m.sender::text, m.created_at, m.text, m.attachments, m.deleted_at is null and m.system is null as is_searchable
    from messages m
    where m.conversation = u.id and m.tenant = u.tenant and m.rev > coalesce(p.rev, 0)
    order by m.rev limit $3
) as m

-- name: insert_positions
-- Add missing positions: tenants, conversations, pairwise.
insert into search_positions (tenant, conversation, rev)
select u.tenant, u.id, 0 from unnest($1::text[], $2::uuid[]) as u (tenant, id)
cross join lateral (
    select 1 from conversations c where c.tenant = u.tenant and c.id = u.id limit 1
) as c
order by u.id
on conflict (conversation, tenant) do nothing

-- name: lock_positions
-- Lock the positions that have not changed, and return their conversations: tenants, conversations, positions,
-- pairwise.
select u.tenant, u.id::text as conversation from unnest($1::text[], $2::uuid[], $3::bigint[]) as u (tenant, id, rev)
cross join lateral (
    select 1 from search_positions p
    where p.tenant = u.tenant and p.conversation = u.id and p.rev = u.rev
    for update skip locked
) as p

-- name: delete_entries
-- Remove messages from the index: tenants, conversations, times, seqs, pairwise.
delete from search_index i
where i.ctid = any(array(
    select x.ctid from unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[]) as u (tenant, conversation, created_at, seq)
    cross join lateral (
        select i.ctid from search_index i
        where i.tenant = u.tenant and i.conversation = u.conversation and i.created_at = u.created_at and i.seq = u.seq limit 1
    ) as x
))

-- name: put_entries
-- Add messages to the index that are not deleted since they were read: tenants, conversations, times, seqs, lexemes
-- separated by spaces, pairwise. A transaction that removes the row of one of these messages has to wait. If one is running, the batch fails without waiting and is retried,
-- because waiting could deadlock.
insert into search_index (tenant, conversation, created_at, seq, words)
select u.tenant, u.conversation, u.created_at, u.seq, array_to_tsvector(string_to_array(u.words, ' '))
from unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[]) as u (tenant, conversation, created_at, seq, words)
cross join lateral (
    select 1 from messages m
    where m.tenant = u.tenant and m.conversation = u.conversation and m.seq = u.seq and m.created_at = u.created_at
        and m.deleted_at is null
    for key share nowait
) as m
on conflict (conversation, created_at, seq, tenant) do update set words = excluded.words
where search_index.words is distinct from excluded.words

-- name: save_positions
-- Advance the locked positions: tenants, conversations, revs, pairwise.
insert into search_positions (tenant, conversation, rev)
select u.tenant, u.id, u.rev from unnest($1::text[], $2::uuid[], $3::bigint[]) as u (tenant, id, rev)
on conflict (conversation, tenant) do update set rev = excluded.rev

-- name: restart_scan
-- Restart the scan.
update search_scan set after_conversation = '00000000-0000-0000-0000-000000000000', after_tenant = ''

-- name: is_scan_at_start
-- Whether the scan is at its start.
select s.after_conversation = '00000000-0000-0000-0000-000000000000' from search_scan s

-- name: merge_entries
-- Merge the entries of the last batches into the index: until then, every search reads them one by one.
select gin_clean_pending_list('search_index_words')

-- name: report
-- Record the state of the index, if this session is the active indexer or becomes it: milliseconds that the oldest
-- change waits, number of waiting changes, cause of failures. No row while another session is.
update search_status s
set reported_at = (extract(epoch from clock_timestamp()) * 1000)::bigint, waiting_ms = $1, waiting_changes = $2, problem = $3
where pg_try_advisory_lock(hashtextextended('chatd search index', 0))
returning true
