-- What somebody in a match had asked for: who skips looks for the same again, on whatever node. Gone when the match is over.
-- Not jsonb, which writes large numbers as integers that nothing else can read.
alter table match_members add column asked json;
