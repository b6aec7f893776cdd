-- Whether a user had a session within so many days that end with a day. `days`: bit n stands for n days before last_day.
create or replace function active_within(p_days bigint, p_last_day integer, p_day integer, p_count integer) returns boolean
language sql immutable as $$
    select case
        -- The last session was before that day, or on it.
        when p_last_day <= p_day then p_last_day > p_day - p_count
        when p_last_day - p_day > 61 then false
        else (p_days >> (p_last_day - p_day)) & ((1::bigint << p_count) - 1) <> 0
    end
$$;
