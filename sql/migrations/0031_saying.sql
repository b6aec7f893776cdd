-- May this user say something here now? One rule for all ways in which new words reach others: see append_messages and message.edit.

-- The refusal code, from the role of the sender (null: no member) and the conversation; null when they may. How long a member of a
-- conversation in slow mode has to wait is the business of slow_down.
create function refusal_to_say(p_role text, p_kind text, p_announce boolean, p_blocked boolean, p_everybody boolean) returns text
language sql immutable parallel safe as $$
    select case
        when p_role is null then 'not_found'
        when p_blocked then 'blocked'
        when p_role = 'member' and (p_announce or (p_everybody and p_kind = 'group')) then 'forbidden'
    end
$$;
