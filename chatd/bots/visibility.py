"""What a bot receives of each event: all of it, without what does not concern the bot, or nothing. Pure.

Every event is judged here. An event that is not is not delivered: in its place the bot gets `behind`, and reads what
has changed, which is filtered by `messages_for()`.
"""

from enum import Enum
from typing import Any

from msgspec import Struct

from chatd.core.ids import NIL


class Judgement(Enum):
    """How an event is delivered to a bot."""

    WHOLE = "it contains no content of messages, or only what is for the bot"
    MESSAGE = "its message is replaced by its place, if it does not concern the bot"
    THREAD = "the replies are left out, if the root does not concern the bot"
    CONVERSATION = "the last message is left out"
    DROPPED = "bots do not get it"


W, D = Judgement.WHOLE, Judgement.DROPPED
EVENTS: dict[str, Judgement] = {
    "message.new": Judgement.MESSAGE,
    "message.update": Judgement.MESSAGE,
    "thread.update": Judgement.THREAD,
    "conversation.update": Judgement.CONVERSATION,
    **dict.fromkeys(
        ("behind", "session.behind", "connected", "closed", "error", "token.expiring", "maintenance.mode"), W
    ),
    **dict.fromkeys(("member.update", "member.left", "conversation.gone", "user.updated"), W),
    **dict.fromkeys(("message.delivered", "message.read"), W),
    **dict.fromkeys(("bot.command", "action"), W),
    # They are ephemeral, or about what bots cannot do.
    **dict.fromkeys(("typing.start", "typing.stop", "presence.update", "poll.voted", "action.answer"), D),
    **dict.fromkeys(("join.requested", "join.declined", "request.new", "schedule.failed"), D),
    **dict.fromkeys(("login.added", "login.ended", "login.updated"), D),
    **dict.fromkeys(
        ("match.found", "match.ended", "match.expired", "match.kept", "match.proposed", "match.requeued"), D
    ),
}
# What is left of a message that does not concern the bot. Everything else is removed.
KEPT = ("id", "seq", "rev", "created_at", "deleted_at")


class Place(Struct, frozen=True):
    """A message that an event is about: by its `seq`, or by its id."""

    conversation: str
    seq: int | None
    message: str


def judgement_of(body: dict[str, Any]) -> Judgement | None:
    return EVENTS.get(body.get("t", ""))


def places_in(body: dict[str, Any], judgement: Judgement) -> list[Place]:
    """The messages whose content the event has: those that have to be looked up."""
    if judgement is Judgement.THREAD:
        return [Place(body["conversation"], None, body["thread"])]
    if judgement is not Judgement.MESSAGE:
        return []
    message, conversation = body["message"], body["conversation"]
    quote = message.get("quote")
    quoted = [Place(conversation, quote["seq"], quote["message"])] if quote else []
    return [Place(conversation, message["seq"], message["id"]), *quoted]


def shown(body: dict[str, Any], judgement: Judgement, concealed: list[bool]) -> dict[str, Any]:
    """The event as the bot gets it. `concealed`: of each of `places_in`."""
    match judgement:
        case Judgement.MESSAGE if concealed[0]:
            kept: dict[str, Any] = {name: body[name] for name in ("t", "conversation", "rev", "change") if name in body}
            return {**kept, "message": placeholder(body["message"])}
        case Judgement.MESSAGE if any(concealed):
            return {**body, "message": {name: value for name, value in body["message"].items() if name != "quote"}}
        case Judgement.THREAD if concealed[0]:
            return {**body, "replies": None}
        case Judgement.CONVERSATION:
            left = {name: value for name, value in body["conversation"].items() if name != "last_message"}
            return {**body, "conversation": left}
    return body


def placeholder(message: dict[str, Any]) -> dict[str, Any]:
    """The place of a message, in the form that `messages_for()` gives it."""
    return {
        **{name: message[name] for name in KEPT if name in message},
        **{"sender": NIL, "client_id": message["id"], "concealed": True},
        **{"text": None, "attachments": [], "reply_to": None, "meta": None},
    }
