-- What somebody in a match had asked for: who skips looks for the same again, on whatever node. Gone when the match is over.
alter table match_members add column asked jsonb;
