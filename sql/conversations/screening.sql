-- name: screening_state
-- Whether the message is stored, and the kind of its conversation: tenant, conversation, sender, client_id.
-- `kind` is null if the sender is not a member of the conversation.
select
    exists (select 1 from messages m where m.tenant = $1 and m.sender = $3 and m.client_id = $4) as is_stored,
    (
        select c.kind from conversations c join members b on b.tenant = c.tenant and b.conversation = c.id
        where c.tenant = $1 and c.id = $2 and b.user_id = $3
    ) as kind
