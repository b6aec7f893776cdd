-- Whether the bytes of an upload are kept although it was deleted: it is evidence in a report, or may become evidence.
create or replace function is_evidence(p_tenant text, p_upload uuid, p_now bigint) returns boolean
language sql stable as $$
    select exists (select 1 from withheld_uploads x where x.upload = p_upload and x.tenant = p_tenant and x.until > p_now)
        or exists (select 1 from report_uploads x where x.upload = p_upload and x.tenant = p_tenant)
$$;
