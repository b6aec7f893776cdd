-- name: indexed_conversations
-- Conversations of a user that have messages in the index, and the time of the newest one in each: tenant, user, only
-- these conversations (null: all), whether matches are left out. active_at of the conversation may be earlier, because
-- a wrong clock can set it back.
select b.conversation::text as id, i.newest
from members b
cross join lateral (
    select i.created_at as newest from search_index i
    where i.conversation = b.conversation and i.tenant = b.tenant
    order by i.created_at desc limit 1
) as i
where b.tenant = $1 and b.user_id = $2 and ($3::uuid[] is null or b.conversation = any($3::uuid[])) and (not $4 or b.alias is null)

-- name: set_search_options
-- Options of this transaction: the index needs bitmap scans, and the search has a timeout in milliseconds.
select set_config('enable_bitmapscan', 'on', true), set_config('enable_seqscan', 'off', true), set_config('statement_timeout', $1, true)

-- name: page
-- Hits in the index, the newest first, with the message if the user can see it: tenant, user, three tsqueries (words,
-- conversations, times), not before this time, older than this (time, conversation, seq), limit, whether matches are
-- left out. Three queries, because the index skips entries that another query excludes, which is a hundred times faster
-- than one query with all conditions. `hits` is separate so that only the index of words is used for it.
with hits as materialized (
    select i.conversation, i.seq, i.created_at from search_index i
    where i.words @@ $3::text::tsquery and i.words @@ $4::text::tsquery and i.words @@ $5::text::tsquery
        and i.tenant = $1 and i.created_at >= $6 and i.created_at <= $7
),
page as materialized (
    select f.* from hits f
    join members b on b.tenant = $1 and b.conversation = f.conversation and b.user_id = $2
    where f.seq >= b.first_seq and (not $11 or b.alias is null) and (f.created_at, f.conversation, f.seq) < ($7, $8::uuid, $9::bigint)
    order by f.created_at desc, f.conversation desc, f.seq desc limit $10
)
select p.created_at as hit_at, p.conversation::text as hit_in, p.seq as hit_seq, m.*
from page p
left join lateral (
    select f.* from messages_for($1, p.conversation, $2) as f where f.seq = p.seq and f.deleted_at is null and f.system is null and f.concealed is not true
) as m on true
order by p.created_at desc, p.conversation desc, p.seq desc
