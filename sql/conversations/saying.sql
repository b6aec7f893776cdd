-- name: may_say
-- Whether a user may send to a locked conversation now: tenant, conversation, user, an id of the text. `denied`: the
-- code of a refusal; `early`: the milliseconds that slow mode requires to wait; if there are none, the message is
-- recorded.
select refusal_to_say(b.role, c.kind, c.announce, c.blocked, false) as denied,
    (slow_down(array[$1::text], array[$2::uuid], array[$3::uuid], array[$4::text]))[1] as early
from conversations c
left join members b on b.tenant = c.tenant and b.conversation = c.id and b.user_id = $3
where c.tenant = $1 and c.id = $2
