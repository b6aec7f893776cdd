"""Presses of buttons: from a member to the bot that has sent the message.

A press is written under the lock of the conversation, as an edit of the buttons is: it is committed while the message
has the button, or refused. The event follows the commit; `delivery.py` sends it again until the bot has taken it.
"""

from typing import ClassVar

from msgspec import Struct

from chatd.actions.delivery import FIRST_RETRY_MS, Action, Counts
from chatd.actions.settings import ActionSettings
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.conversations.button_types import ButtonData
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.messages.buttons import pressable
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.wire.base import ClientId, Command, Id, Millis, Result
from chatd.wire.reference.examples import Example

SQL = queries.load("actions/pressing")
# Time after which a user may press again while too many actions wait for the bot.
FULL_RETRY_S = 30


class PressButton(Command, tag="message.action"):
    """Press a button of the kind `press`. `action` is its `data`.

    The bot learns the user and the button, and nothing else. Pressing again with the same `client_id` gives the same
    ack and no second action, for `actions.keep`.
    """

    conversation: Id
    message: Id
    action: ButtonData
    client_id: ClientId
    EXAMPLE: ClassVar = Example(action="accept:17")


class ActionAck(Result, tag="message.action"):
    """The action is committed, and goes to the bot. `duplicate`: it had been committed before, and this repeats the
    first ack. An answer of the bot comes as `action.answer` with the same `action`.
    """

    client_id: ClientId
    action: Id
    at: Millis
    duplicate: bool


class Pressed(Struct, frozen=True):
    """A committed action, and the event for the bot; None if it was committed before."""

    ack: ActionAck
    bot: str
    event: Action | None


@command(
    PressButton,
    result=ActionAck,
    refuses=("not_found", "conflict", "blocked"),
    http="POST /v1/conversations/{conversation}/messages/{message}/actions",
    uncancellable=True,
)
async def press_button(ctx: Ctx, cmd: PressButton) -> Effects:
    """`not_found`: the requester is not a member, or may not see the message. `conflict`: the message was deleted or
    does not have this button any more, or its bot has left the conversation or is no longer active. `blocked`: one of
    the two has blocked the other. `rate_limited`: the requester has pressed too many buttons
    (`actions.per_user_per_minute`, `actions.per_message_per_minute`), or the bot does not take its actions
    (`actions.pending_per_bot`).
    """
    pressed = await change_conversation(ctx, cmd.conversation, write_press, cmd, ctx.node.config.get(ActionSettings))
    if isinstance(pressed, Refused):
        raise pressed
    if pressed.event is None:
        return [Reply(pressed.ack)]
    ctx.node.get(Counts).add("pressed")
    return [Reply(pressed.ack), ToUser(pressed.bot, pressed.event)]


async def write_press(tx: ConversationTx, cmd: PressButton, settings: ActionSettings) -> Pressed | Refused:
    """Store an action, or find the one of the same `client_id`. Returns the refusal of a press that is possible later.

    Raises Refused: `not_found`, `conflict`, `blocked`.
    """
    row = await tx.message(cmd.message)
    limits = (settings.pending_per_bot, settings.per_user_per_minute, settings.per_message_per_minute)
    state = await tx.one(SQL.state, cmd.message, row["author"], tx.user, cmd.client_id, *limits)
    assert state is not None
    if state["known"] is not None:
        ack = ActionAck(client_id=cmd.client_id, action=state["known"], at=state["known_at"], duplicate=True)
        return Pressed(ack, row["author"], None)
    check_press(row, state, cmd.action)
    if (refusal := refusal_for_now(state)) is not None:
        return refusal
    return await store(tx, cmd, row["author"])


def check_press(row: Row, state: Row, data: str) -> None:
    """Raises Refused: `conflict`, `blocked`."""
    if row["deleted_at"] is not None:
        raise Refused("conflict", "the message was deleted")
    if data not in pressable(row["actions"]):
        raise Refused("conflict", "the message has no such button, or has it no more")
    if not state["is_available"]:
        raise Refused("conflict", "the bot has left the conversation, or is no longer active")
    if state["is_blocked"]:
        raise Refused("blocked")


def refusal_for_now(state: Row) -> Refused | None:
    """The refusal of a press that is possible later."""
    if state["wait_ms"] is not None:
        return Refused("rate_limited", "you press too many buttons", retry_after=max(1.0, state["wait_ms"] / 1000))
    if state["is_full"]:
        return Refused("rate_limited", "the bot is unavailable: it takes no actions", retry_after=FULL_RETRY_S)
    return None


async def store(tx: ConversationTx, cmd: PressButton, bot: str) -> Pressed:
    action = uuid7(tx.now)
    values = (action, cmd.message, bot, tx.user, cmd.client_id, cmd.action, FIRST_RETRY_MS)
    row = await tx.one(SQL.insert, *values)
    assert row is not None
    at = row["created_at"]
    event = Action(id=action, conversation=tx.conversation, message=cmd.message, user=tx.user, data=cmd.action, at=at)
    return Pressed(ActionAck(client_id=cmd.client_id, action=action, at=at, duplicate=False), bot, event)
