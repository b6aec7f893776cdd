-- name: lock_user
-- Labels of a user are changed one at a time, so that their count is exact: tenant, user.
select 1 from users where tenant = $1 and id = $2 for no key update

-- name: counts
-- The labels of a user, each with the number of its conversations: tenant, user.
select l.label, count(*) as conversations
from members b
cross join lateral unnest(b.labels) as l (label)
where b.tenant = $1 and b.user_id = $2 and b.labels is not null
group by l.label
order by l.label collate "C"

-- name: rename
-- Replace a label on all conversations, or remove it with '': tenant, user, label, new label. Returns the number of
-- conversations.
with changed as (
    update members b
    set labels = case
            when $4::text = '' or $4::text = any(b.labels) then nullif(array_remove(b.labels::text[], $3::text), '{}')
            else array_replace(b.labels::text[], $3::text, $4::text)
        end,
        changed = pg_current_xact_id()
    where b.tenant = $1 and b.user_id = $2 and $3::text = any(b.labels)
    returning 1
)
select count(*) from changed
