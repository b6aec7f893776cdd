-- What is shared of a conversation: for how many days it keeps its messages too. Without it nobody but who has set it knew of it.

-- A conversation as one member sees it: as in 0014, and `keep_days` (null: as configured).
create or replace view own_conversations as
select
    b.tenant, b.user_id, c.id as conversation, c.changed, b.changed as own_changed,
    c.id::text as id, c.kind, c.title, c.description, c.picture::text as picture, c.announce, c.disappear, c.slow_seconds, c.joining, c.history,
    c.members as member_count, c.seq, c.rev, c.created_at, c.info_rev,
    b.role, b.first_seq, b.first_rev, b.read_seq, b.delivered_seq,
    unread_of(b.tenant, b.conversation, b.user_id, b.read_seq) as unread,
    mentions_of(b.tenant, b.conversation, b.user_id, b.read_seq) as mentions,
    b.muted_until, b.archived, b.pinned_at, coalesce(b.hidden_seq >= c.seq, false) as hidden, b.draft, b.draft_at, b.notify,
    b.joined_seq, b.joined_rev, c.keep_days
from members b
join conversations c on c.tenant = b.tenant and c.id = b.conversation;
