"""What a conversation says of itself: title, description, picture, and its rules."""

from functools import partial
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation
from chatd.app.registry import command
from chatd.conversations.effects import WithConversation, told_message
from chatd.conversations.entities import Conversation, Joining, Message, SlowSeconds
from chatd.conversations.events import ConversationUpdate
from chatd.conversations.log.transaction import Change, change
from chatd.conversations.permissions import Right
from chatd.conversations.read_model import shared
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import Command, Id, Result
from chatd.wire.texts import NAME, PROSE

SQL = queries.load("conversations/group_settings")
INFO = ("title", "description", "picture")
RULES = ("announce", "disappear", "joining", "history", "keep_days", "slow_seconds")
# What every member reads in the conversation itself.
SAID = ("title", "picture", "announce", "disappear", "keep_days")


class EditConversation(Command, tag="conversation.edit"):
    """Change what is given. An empty text empties the field. `disappear` in seconds; `keep_days` 0: as configured.

    In slow mode (`slow_seconds`) a member may send one message in so many seconds; who is too early is refused `rate_limited`.

    Title, description and picture need the right to change them; the rest needs the right to make rules, which in a direct
    conversation both have.
    """

    conversation: Id
    title: Annotated[str, Meta(max_length=100, extra=NAME)] | None = None
    description: Annotated[str, Meta(max_length=1000, extra=PROSE)] | None = None
    picture: Id | None = None
    announce: bool | None = None
    disappear: Annotated[int, Meta(ge=0, le=31_536_000)] | None = None
    joining: Joining | None = None
    history: Literal["all", "joined"] | None = None
    keep_days: Annotated[int, Meta(ge=0, le=36_500)] | None = None
    slow_seconds: SlowSeconds | None = None


class ConversationInfo(Result, tag="conversation.info"):
    """The conversation as it is now."""

    conversation: Conversation


@command(
    EditConversation,
    result=ConversationInfo,
    cost=2,
    refuses=("not_found", "forbidden", "blocked"),
    http="PATCH /v1/conversations/{conversation}",
    lasting=True,
)
async def edit_conversation(ctx: Ctx, cmd: EditConversation) -> Effects:
    """Refused `forbidden` without the right, `not_found` for a picture that is no image of the asker's."""
    given = {name: getattr(cmd, name) for name in INFO + RULES if getattr(cmd, name) is not None}
    if not given:
        raise Refused("bad_request", "$: nothing to change")

    async def work(here: Change) -> Edited:
        await check(here, cmd, given)
        rev = here.next_rev(info=True)
        await here.run(SQL.set, *(getattr(cmd, name) for name in INFO + RULES))
        if cmd.picture is not None:
            await here.run(SQL.use_picture, cmd.picture)
        said = [await here.say({"act": "conversation.edited", name: given[name]}) for name in SAID if name in given]
        return Edited(rev, said)

    edited = await change(ctx, cmd.conversation, work)
    return [WithConversation(cmd.conversation, partial(told_edited, edited))]


class Edited(Struct, frozen=True):
    """The rev of the changed fields, and the messages that say what was changed."""

    rev: int
    messages: list[Message]


def told_edited(edited: Edited, view: Conversation) -> Effects:
    return [
        ToConversation(view.id, ConversationUpdate(conversation=shared(view), rev=edited.rev)),
        *(told_message(view.id, message) for message in edited.messages),
        Reply(ConversationInfo(conversation=view)),
    ]


async def check(here: Change, cmd: EditConversation, given: dict[str, Any]) -> None:
    """Raises Refused."""
    if any(name in given for name in INFO):
        here.check(Right.INFO)
    if any(name in given for name in RULES):
        here.check(Right.RULES)
    if here.place.kind != "group" and any(name in given for name in ("announce", "joining", "history", "slow_seconds")):
        raise Refused("forbidden", "only groups have such a rule")
    # A stranger must not make the messages of a match vanish.
    if here.place.kind == "match" and any(name in given for name in ("disappear", "keep_days")):
        raise Refused("forbidden", "messages of a match do not disappear")
    if cmd.picture is not None and await here.one(SQL.own_upload, here.user, cmd.picture) is None:
        raise Refused("not_found", "$.picture: no such picture of yours")
