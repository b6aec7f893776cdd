-- What was removed is kept for a while where only a report can take it up, so that who is reported cannot remove the evidence first.

-- Content of messages that became tombstones, until a time. `edits`: earlier forms, as in message_edits.
create table withheld_messages (
    tenant text not null,
    conversation uuid not null,
    seq bigint not null,
    sender uuid not null,
    text text,
    attachments jsonb,
    edits jsonb,
    until bigint not null,
    primary key (conversation, seq, tenant)
);
create index withheld_messages_until on withheld_messages (until);
create index withheld_messages_sender on withheld_messages (sender, conversation, seq, tenant);

-- Their files: nobody may read them by this, but their bytes stay.
create table withheld_uploads (
    tenant text not null,
    upload uuid not null,
    until bigint not null,
    primary key (upload, tenant),
    foreign key (tenant, upload) references uploads (tenant, id) on delete cascade
);
create index withheld_uploads_until on withheld_uploads (until);

-- Files in the evidence of a report: their bytes stay as long as the report does.
create table report_uploads (
    tenant text not null,
    report uuid not null,
    upload uuid not null,
    primary key (report, upload, tenant),
    foreign key (report, tenant) references reports (id, tenant) on delete cascade,
    foreign key (tenant, upload) references uploads (tenant, id) on delete cascade
);
create index report_uploads_upload on report_uploads (upload, tenant);
insert into report_uploads (tenant, report, upload)
select distinct r.tenant, r.id, u.id
from reports r
cross join lateral jsonb_path_query(r.transcript, '$[*].attachments[*].upload') as f (id)
join uploads u on u.tenant = r.tenant and u.id::text = f.id #>> '{}';

-- Whether a file is evidence, or may become so: then its bytes stay, whoever removed it.
create function is_evidence(p_tenant text, p_upload uuid, p_now bigint) returns boolean
language sql stable as $$
    select exists (select 1 from withheld_uploads x where x.upload = p_upload and x.tenant = p_tenant and x.until > p_now)
        or exists (select 1 from report_uploads x where x.upload = p_upload and x.tenant = p_tenant)
$$;
