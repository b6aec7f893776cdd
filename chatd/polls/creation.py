"""Sending a poll: a message whose text is the question."""

from functools import partial
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Effects
from chatd.app.registry import command
from chatd.conversations.log.entries import Appended
from chatd.conversations.messages.screening import screen
from chatd.conversations.messages.sending import Content, SentAck, ack_of, append, check_text, is_known
from chatd.core.errors import Refused
from chatd.core.text_forms import is_blank
from chatd.polls.state import MAX_OPTIONS, MIN_OPTIONS, Poll, PollOption, stored_form
from chatd.wire.base import ClientId, Command, Id
from chatd.wire.reference.examples import Example
from chatd.wire.texts import MESSAGE
from chatd.wire.times import Moment

Question = Annotated[str, Meta(min_length=1, max_length=300, extra=MESSAGE)]
OptionText = Annotated[str, Meta(min_length=1, max_length=100, extra=MESSAGE)]
MAX_DURATION_MS = 366 * 86_400_000


class CreatePoll(Command, tag="poll.create"):
    """Send a poll. It is a message: the question is its `text`, and `poll` has the options.

    Sending it again with the same `client_id` gives the same ack and no second poll, as with message.send. `multiple`:
    users may choose several options. `anonymous`: nobody can see who has voted for what. `closes_at`: when the poll
    ends, at most a year from now; null: when it is closed.
    """

    conversation: Id
    client_id: ClientId
    question: Question
    options: Annotated[list[OptionText], Meta(min_length=MIN_OPTIONS, max_length=MAX_OPTIONS)]
    multiple: bool = False
    anonymous: bool = False
    closes_at: Moment | None = None
    EXAMPLE: ClassVar = Example(question="Lunch?", options=["pizza", "sushi"])


class PollAck(SentAck, tag="poll.ack"):
    """The poll is committed. See message.ack. `options`: the stored options, if a filter has changed one."""

    options: list[str] | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(options=["pizza", "sushi"])


@command(
    CreatePoll,
    result=PollAck,
    refuses=("not_found", "conflict", "too_large", "blocked", "forbidden"),
    http="POST /v1/conversations/{conversation}/polls",
    is_bounded=True,
)
async def create_poll(ctx: Ctx, cmd: CreatePoll) -> Effects:
    """As message.send. `bad_request`: two options are equal, or `closes_at` is not in the future."""
    try:
        check(ctx, cmd)
    except Refused:
        # A committed poll is never refused: the log repeats its first ack, even after `closes_at`.
        if not await is_known(ctx, cmd.client_id):
            raise
    screened = await screen(ctx, cmd.conversation, cmd.client_id, cmd.question, meta={"options": cmd.options})
    options: list[str] = (screened.meta or {})["options"]
    poll = Poll(
        options=[PollOption(text=text, votes=0) for text in options],
        multiple=cmd.multiple,
        anonymous=cmd.anonymous,
        voters=0,
        closes_at=UNSET if cmd.closes_at is None else cmd.closes_at,
    )
    content = Content(screened.text, poll=stored_form(poll))
    ack = partial(poll_ack, cmd, screened.text, options)
    return [append(ctx, cmd.conversation, cmd.client_id, content, ack)]


def poll_ack(cmd: CreatePoll, text: str | None, options: list[str], done: Appended) -> PollAck:
    ack = ack_of(PollAck, cmd.client_id, cmd.question, text, done)
    return ack if done.duplicate or options == cmd.options else replace(ack, options=options)


def check(ctx: Ctx, cmd: CreatePoll) -> None:
    """Check a new poll. Raises Refused: `bad_request`, `too_large`."""
    check_text(ctx.node.config, cmd.question)
    if is_blank(cmd.question):
        raise Refused("bad_request", "$.question: expected a visible character")
    for index, text in enumerate(cmd.options):
        if is_blank(text):
            raise Refused("bad_request", f"$.options[{index}]: expected a visible character")
    if len({text.strip() for text in cmd.options}) < len(cmd.options):
        raise Refused("bad_request", "$.options: expected options that differ")
    if cmd.closes_at is not None and not ctx.now < cmd.closes_at <= ctx.now + MAX_DURATION_MS:
        raise Refused("bad_request", "$.closes_at: expected a time in the future, at most a year from now")
