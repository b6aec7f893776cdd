-- name: concealed
-- Which of these messages a bot gets only the place of: tenants, conversations, bots, seqs, pairwise. Their numbers from 1.
select w.number from unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[]) with ordinality as w (tenant, conversation, bot, seq, number)
where is_concealed(w.tenant, w.conversation, w.bot, w.seq)

-- name: concealed_by_id
-- The same for messages by their ids: tenants, conversations, bots, messages, pairwise.
select w.number from unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[]) with ordinality as w (tenant, conversation, bot, message, number)
cross join lateral (
    select m.seq from messages m where m.conversation = w.conversation and m.id = w.message and m.tenant = w.tenant limit 1
) as m
where is_concealed(w.tenant, w.conversation, w.bot, m.seq)
