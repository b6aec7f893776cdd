-- As in 0016, but counting stops at the 1000 that are shown, instead of after the next 5000 messages.
create or replace function unread_of(p_tenant text, p_conversation uuid, p_user uuid, p_read bigint) returns bigint
language sql stable as $$
    select count(*) from (
        select 1 from messages x
        where x.conversation = p_conversation and x.tenant = p_tenant and x.seq > p_read and x.seq <= p_read + 5000
            and x.sender <> p_user and x.deleted_at is null and x.system is null
            and (x.expires_at is null or x.expires_at > millis()) and not hides(p_tenant, p_conversation, p_user, x.seq)
        order by x.seq limit 1000
    ) as n
$$;
