-- Count unread messages without a function call for each: `hides` has a sub-select, so Postgres does not inline it, and it cost ten
-- times as much as the row itself. The hidden messages after the position are read once for each conversation instead.

-- As in 0024.
create or replace function unread_of(p_tenant text, p_conversation uuid, p_user uuid, p_read bigint) returns bigint
language sql stable as $$
    select count(*) from (
        select 1 from messages x
        where x.conversation = p_conversation and x.tenant = p_tenant and x.seq > p_read and x.seq <= p_read + 5000
            and x.sender <> p_user and x.deleted_at is null and x.system is null
            and (x.expires_at is null or x.expires_at > millis())
            and x.seq not in (
                select k.seq from marks k
                where k.user_id = p_user and k.conversation = p_conversation and k.seq > p_read and k.seq <= p_read + 5000
                    and k.tenant = p_tenant and k.hidden
            )
        order by x.seq limit 1000
    ) as n
$$;

-- As in 0016.
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
    where (
        select x.sender <> p_user and (x.expires_at is null or x.expires_at > millis()) from messages x
        where x.conversation = p_conversation and x.seq = n.seq and x.tenant = p_tenant limit 1
    ) and n.seq not in (
        select k.seq from marks k
        where k.user_id = p_user and k.conversation = p_conversation and k.seq > p_read and k.tenant = p_tenant and k.hidden
    )
$$;
