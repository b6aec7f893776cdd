"""Deterministic examples of every type of the protocol, for the reference and the golden vectors.

A new type needs no entry here; entries only make its example more readable.
"""

from typing import Any, TypeVar
from zlib import crc32

from msgspec import UNSET, Struct, inspect, structs

from chatd.core.ids import UUID_PATTERN

T = TypeVar("T", bound=Struct)
ALICE = "0190a3c4-5b00-7000-8000-00000000a11c"
BOB = "0190a3c4-5b00-7000-8000-000000000b0b"
CONVERSATION = "0190a3c4-6d00-7000-8000-00000000c001"
MESSAGE = "0190a3c4-7e00-7000-8000-000000000042"

# Values by field, or by type and field.
VALUES: dict[str, Any] = {
    "user": BOB,
    "members": BOB,
    "sender": ALICE,
    "Connected.user": ALICE,
    "Tokens.user": ALICE,
    "conversation": CONVERSATION,
    "counters": CONVERSATION,
    "Message.id": MESSAGE,
    "MessageAck.message": MESSAGE,
    "client_id": "phone-17",
    "text": "hello",
    "name": "Bob",
    "SignUp.name": "Alice",
    "kind": "group",
    "title": "Holidays",
    "device": "Zk3x-random-and-secret-Zk3x",
    "tenant": "default",
    "token": "eyJ...",
    "access_token": "eyJ...",
    "refresh_token": "cr_...",
    "ticket": "ct_...",
    "secret": "ci_8Jb1uRrSxkY0oNfTq3mZpA",
    "system": {"act": "member.joined", "users": [ALICE], "count": 1},
    "reactions": {"👍": 2},
    "emoji": "👍",
    "from_": "22:00",
    "to": "07:00",
    "zone": "Europe/Berlin",
    "forwarded": {"sender": ALICE, "created_at": 1_770_000_000_000},
    "disappear": 0,
    "muted_until": None,
    "seq": 42,
    "rev": 57,
    "read_seq": 41,
    "delivered_seq": 42,
    "after": 0,
    "before": 42,
    "limit": 50,
    "expires_in": 900,
    "Ticket.expires_in": 30,
    "TypingStarted.expires_in": 6,
    "TypingStopped.expires_in": 0,
    "heartbeat": 25.0,
    "member_count": 2,
    "max_message": 65536,
    "max_frames": 64,
    "max_text": 16384,
    "commands_per_second": 50.0,
    "commands_burst": 200,
    "upload": "0190a3c4-7c00-7000-8000-0000000000ca",
    "url": "https://files.example.org/v1/uploads/0190a3c4-7c00-7000-8000-0000000000ca",
    "mime": "image/jpeg",
    "size": 48_211,
    "width": 1200,
    "height": 900,
    "ImageAttachment.name": "cat.jpg",
    "meta": {"mood": "good"},
    "details": {},
    "CreateReport.reason": "spam",
    "Report.reason": "spam",
    "Ban.reason": "spam",
    "AddBan.reason": "spam",
    "StrikeUser.reason": "spam",
    "address": "203.0.113.0/24",
    "actor": "ann",
    "act": "ban.add",
    "Act.subject": BOB,
    "reporter": ALICE,
    "lasts": 86_400,
    "KnownUser.conversations": 12,
    "SetMaintenance.on": True,
    "SetMaintenance.message": "Back at noon.",
    "DrainNodes.node": "0190a3c4-5b00-7000-8000-00000000d0e5",
    "confirm": True,
    "failed": "forbidden",
    "code": "not_found",
    "message": "no such conversation",
    "MaintenanceMode.enabled": True,
    "MaintenanceMode.message": "The server is about to stop. You will be reconnected.",
}
# Optional fields of commands that examples contain.
SHOWN = (
    "text",
    "title",
    "name",
    "device",
    "limit",
    "CreateReport.user",
    "AddBan.user",
    "AddBan.lasts",
    "SetConversation.archived",
    "JoinConversation.conversation",
    "SetUser.notify",
)
# Fields that exclude another field of their type, and are omitted.
LEFT_OUT = ("AttachmentInput.url",)
SHOWN_IN_ANSWERS = ("role", "read_seq", "delivered_seq", "unread", "mentions", "retry_after", "change", "by")
TIMES = ("ts", "server_time", "at")
MILLIS = 1_770_000_000_000


def example(kind: type[T]) -> T:
    """An example with all fields, except those that exclude another one."""
    used = [field for field in fields_of(kind) if f"{kind.__name__}.{field.name}" not in LEFT_OUT]
    return kind(**{field.name: value_of(field.name, field.type, kind) for field in used})


def usual(value: Any) -> Any:
    """A typical example: without most of the fields that may be absent."""
    if isinstance(value, list):
        return [usual(part) for part in value]
    if not isinstance(value, Struct):
        return value
    fields = {field.name: getattr(value, field.name) for field in structs.fields(value) if is_usual(field)}
    return type(value)(**{name: usual(part) for name, part in fields.items()})


def is_usual(field: structs.FieldInfo) -> bool:
    return field.default is not UNSET or field.name in SHOWN_IN_ANSWERS


def example_body(kind: type[Struct]) -> dict[str, Any]:
    """A typical command: its tag, the required fields, and a few others."""
    shown = [field for field in fields_of(kind) if field.required or is_shown(field.name, kind)]
    return {"t": kind.__struct_config__.tag, **{field.name: value_of(field.name, field.type, kind) for field in shown}}


def is_shown(name: str, kind: type[Struct]) -> bool:
    return name in SHOWN or f"{kind.__name__}.{name}" in SHOWN


def fields_of(kind: type[Struct]) -> tuple[inspect.Field, ...]:
    form = inspect.type_info(kind)
    assert isinstance(form, inspect.StructType)
    return form.fields


def value_of(name: str, form: inspect.Type, owner: type[Struct]) -> Any:
    """An example value of this type. For `id` the entry of the owner is used."""
    known = VALUES.get(f"{owner.__name__}.{name}", VALUES.get(owner.__name__.lower() if name == "id" else name))
    match form:
        case inspect.Metadata():
            return value_of(name, form.type, owner)
        case inspect.UnionType():
            return value_of(name, first_of(form), owner)
        case inspect.StructType():
            return example(form.cls)
        case inspect.ListType():
            return [value_of(name, form.item_type, owner)]
        case inspect.LiteralType():
            return known if known in form.values else form.values[0]
    return scalar(name, form, known)


def first_of(form: inspect.UnionType) -> inspect.Type:
    return next(part for part in form.types if not isinstance(part, inspect.NoneType))


def scalar(name: str, form: inspect.Type, known: Any) -> Any:
    match form:
        case inspect.DictType():
            return known if isinstance(known, dict) else {"any": "thing"}
        case inspect.BoolType():
            return known is True
        case inspect.FloatType():
            return known if isinstance(known, float) else 1.5
        case inspect.IntType():
            return known if isinstance(known, int) else MILLIS if name in TIMES or name.endswith("_at") else 1
        case inspect.StrType():
            return text(name, form, known)
    return None


def text(name: str, form: inspect.StrType, known: Any) -> str:
    if form.pattern != UUID_PATTERN or (isinstance(known, str) and len(known) == len(ALICE)):
        return known if isinstance(known, str) else name
    return f"0190a3c4-7f00-7000-8000-{crc32(name.encode()):012x}"
