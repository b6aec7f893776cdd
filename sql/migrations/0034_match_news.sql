-- Whether a connection of this user was told of the match. Who comes back without it is told then: the node that was about to tell
-- them may have died. Those who are in a match already were told of it.
alter table match_members add column heard boolean not null default true;
alter table match_members alter column heard set default false;
