"""The line that `chatd chat` prints for an event. Pure."""

from collections.abc import Callable

from chatd.client import Event, Unknown
from chatd.client.types import Message, MessageUpdate, SystemAct

Who = Callable[[str], str]

EVENT_LINES = {
    "message.delivered": "{who} has received all messages up to {event.seq}",
    "message.read": "{who} has read all messages up to {event.seq}",
    "typing.start": "{who} is typing ...",
    "maintenance.mode": "{event.message}",
    "conversation.gone": "the conversation was dissolved",
    "conversation.reset": "the server was restored from a backup; see /history",
}
CHANGE_LINES = {
    "edit": "{who} edited message {seq}: {text}",
    "delete": "{who} deleted message {seq}",
    "expire": "message {seq} has expired",
    "pin": "{who} pinned message {seq}",
    "unpin": "{who} unpinned message {seq}",
    "reaction": "{who} reacted {emoji} to message {seq}",
    "unreaction": "{who} removed the reaction {emoji} from message {seq}",
}
ACT_LINES = {
    "member.added": "{who} added {whom}",
    "member.joined": "{who} joined",
    "member.approved": "{who} approved the request of {whom} to join",
    "member.left": "{who} left",
    "member.removed": "{who} removed {whom}",
    "member.role": "{who} made {whom} {role}",
    "conversation.transferred": "{who} transferred the group to {whom}",
    "message.pinned": "{who} pinned a message",
}


def line_of(event: Event | Unknown, who: Who) -> str | None:
    """The line for an event; None if nothing is printed."""
    if isinstance(event, MessageUpdate):
        return update_line(event, who)
    form = None if isinstance(event, Unknown) else EVENT_LINES.get(event.t)
    return form.format(event=event, who=who(getattr(event, "user", ""))) if form else None


def update_line(event: MessageUpdate, who: Who) -> str | None:
    """The line for a change. A change that was missed has no reason; its line shows the current message."""
    message = event.message
    change = event.change or ("delete" if message.deleted_at else "edit")
    change = f"un{change}" if event.on is False else change
    form = CHANGE_LINES.get(change)
    if form is None:
        return None
    by, text = who(event.by or message.sender), message.text or "(no text)"
    return form.format(who=by, seq=message.seq, text=text, emoji=event.emoji or "")


def message_line(message: Message, who: Who) -> str:
    """The text after the name of the sender; for a system message the whole line."""
    if message.system:
        return system_line(message.system, message.sender, who)
    if message.deleted_at:
        return "(deleted)"
    text = message.text or "(no text)"
    reactions = " ".join(f"{emoji}{count}" for emoji, count in (message.reactions or {}).items())
    return f"{text}{' (edited)' if message.edited_at else ''}{f'  [{reactions}]' if reactions else ''}"


def system_line(system: SystemAct, sender: str, who: Who) -> str:
    users = [who(user) for user in system.users or ()]
    more = (system.count or len(users)) - len(users)
    whom = ", ".join(users) + (f" and {more} more" if more > 0 else "")
    if system.act == "conversation.edited":
        changes = ((name, getattr(system, name)) for name in system.__struct_fields__ if name != "act")
        return f"{who(sender)} changed {', '.join(f'{name}: {value}' for name, value in changes if value is not None)}"
    form = ACT_LINES.get(system.act, "{who}: " + system.act.replace("{", "").replace("}", ""))
    return form.format(who=who(sender), whom=whom, role=system.role or "")
