-- Reports keep the meta of messages and what system messages say, also of messages that were removed before.

alter table withheld_messages
    add column meta jsonb,
    add column system jsonb;

-- Which messages a user could see in earlier memberships: who was removed and added again may still report them.
alter table members add column seen_before int8multirange;
alter table former_members add column seen int8multirange not null default '{[1,)}';
