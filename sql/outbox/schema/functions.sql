-- Adds the row of a trigger to the outbox, for each consumer that wants to know of it. Arguments of the trigger: the type
-- of the change, then the columns with the key, the subject, the user, the actor and the time; '' for none. Without a
-- column, the time is now.
--
-- After silence() of outbox.sql, a transaction adds nothing.
--
-- For changes that are rare. append_messages(), and triggers on whole statements, are for those that come in numbers.
create or replace function add_to_outbox() returns trigger
language plpgsql as $$
declare
    p_type text := tg_argv[0];
    p_key text := tg_argv[1];
    p_subject text := nullif(tg_argv[2], '');
    p_user text := nullif(tg_argv[3], '');
    p_actor text := nullif(tg_argv[4], '');
    p_at text := nullif(tg_argv[5], '');
    p_seq text := case when tg_table_name = 'messages' then 'seq' end;
    p_row jsonb := case when tg_op = 'DELETE' then to_jsonb(old) else to_jsonb(new) end;
begin
    insert into outbox (consumer, tenant, type, key, subject, seq, user_id, actor, at)
    select i.consumer, i.tenant, i.type, (p_row ->> p_key)::uuid, (p_row ->> p_subject)::uuid, (p_row ->> p_seq)::bigint,
        (p_row ->> p_user)::uuid, (p_row ->> p_actor)::uuid,
        coalesce((p_row ->> p_at)::bigint, (extract(epoch from clock_timestamp()) * 1000)::bigint)
    from outbox_interests i where i.type = p_type and i.tenant = p_row ->> 'tenant' and current_setting('chatd.outbox', true) is distinct from 'off';
    return null;
end $$;
