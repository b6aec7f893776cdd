-- Attachments have a type, and the facts of an upload come from the table of uploads: see conversations/messages/attachments.py. What was stored as
-- the sender wrote it takes that form here: an upload that is known, or a link to http or https. Anything else was no attachment
-- that a client could rely on, and is left out.

create function pg_temp.typed(p_tenant text, p_attachments jsonb) returns jsonb
language sql stable as $$
    select jsonb_agg(
        case when u.id is null then jsonb_build_object('type', 'link', 'url', a.value ->> 'url')
        else jsonb_strip_nulls(jsonb_build_object(
            'type', case when split_part(u.mime, '/', 1) in ('image', 'video', 'audio') then split_part(u.mime, '/', 1) else 'file' end,
            'upload', u.id, 'mime', u.mime, 'size', u.size, 'width', u.width, 'height', u.height
        )) || jsonb_build_object('name', u.name) end
        order by a.place
    )
    from jsonb_array_elements(p_attachments) with ordinality as a (value, place)
    left join uploads u on u.tenant = p_tenant and u.id::text = a.value ->> 'upload'
    where u.id is not null
        or (not a.value ? 'upload' and a.value ->> 'url' ~* '^https?://[^\s\\<>"`{}|^/?#@][^\s\\<>"`{}|^]*$' and length(a.value ->> 'url') <= 2048)
$$;

update messages m set attachments = pg_temp.typed(m.tenant, m.attachments) where m.attachments is not null;

-- What waits to be sent has the form in which a client names it.
update scheduled_messages s set body = s.body || jsonb_build_object('attachments', (
    select coalesce(jsonb_agg(
        case when a.value ? 'upload' then jsonb_build_object('upload', a.value -> 'upload')
        else jsonb_build_object('url', a.value -> 'url') end
        order by a.place
    ), '[]')
    from jsonb_array_elements(pg_temp.typed(s.tenant, s.body -> 'attachments')) with ordinality as a (value, place)
))
where jsonb_array_length(s.body -> 'attachments') > 0;

-- All is indexed anew: has:image and has:link mean more now, and words are cut at every kind of apostrophe.
update search_positions set rev = 0;

drop function pg_temp.typed;
