create or replace view note_counts as
select count(*) as notes, count(*) filter (where archived) as archived from notes;
