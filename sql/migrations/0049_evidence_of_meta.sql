-- Reports keep the meta of messages and what system messages say, also of messages that were removed before.

alter table withheld_messages
    add column meta jsonb,
    add column system jsonb;

-- Which messages a user could see in earlier memberships: who was removed and added again may still report them.
alter table members add column seen_before int8multirange;
alter table former_members add column seen int8multirange not null default '{[1,)}';

-- Which messages a member could see by now. Of many spans the gaps are forgotten, so that it does not grow with every return.
create function seen_so_far(p_member members, p_seq bigint) returns int8multirange
language sql immutable as $$
    select case when (select count(*) from unnest(s.seen)) > 20 then int8multirange(range_merge(s.seen)) else s.seen end
    from (
        select coalesce(p_member.seen_before, '{}')
            + int8multirange(int8range(p_member.first_seq, greatest(p_seq + 1, p_member.first_seq))) as seen
    ) as s
$$;
