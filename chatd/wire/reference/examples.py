"""Deterministic examples of every type of the protocol, for the reference and the golden vectors.

A new type needs no entry here; entries only make its example more readable. A type that needs more declares an
`EXAMPLE`.
"""

from typing import Any, TypeVar
from zlib import crc32

from msgspec import UNSET, Struct, inspect, structs, to_builtins

from chatd.core.ids import UUID_PATTERN

T = TypeVar("T", bound=Struct)
ALICE = "0190a3c4-5b00-7000-8000-00000000a11c"
BOB = "0190a3c4-5b00-7000-8000-000000000b0b"
CONVERSATION = "0190a3c4-6d00-7000-8000-00000000c001"
MESSAGE = "0190a3c4-7e00-7000-8000-000000000042"
UPLOAD = "0190a3c4-7c00-7000-8000-0000000000ca"

# Values by field.
VALUES: dict[str, Any] = {
    "user": BOB,
    "members": BOB,
    "sender": ALICE,
    "conversation": CONVERSATION,
    "counters": CONVERSATION,
    "client_id": "phone-17",
    "text": "hello",
    "name": "Bob",
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
    "preview": {"url": "https://example.org/a", "title": "An example"},
    "poll": {
        "options": [{"text": "pizza", "votes": 2}, {"text": "sushi", "votes": 1}],
        "multiple": False,
        "anonymous": False,
        "voters": 3,
    },
    "command": {"bot": BOB, "name": "weather", "args": {"city": "Porto"}},
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
    "heartbeat": 25.0,
    "member_count": 2,
    "max_message": 65536,
    "max_frames": 64,
    "max_text": 16384,
    "commands_per_second": 50.0,
    "commands_burst": 200,
    "upload": UPLOAD,
    "url": f"https://files.example.org/v1/uploads/{UPLOAD}",
    "mime": "image/jpeg",
    "size": 48_211,
    "width": 1200,
    "height": 900,
    "meta": {"mood": "good"},
    "details": {},
    "address": "203.0.113.0/24",
    "actor": "ann",
    "act": "ban.add",
    "reporter": ALICE,
    "lasts": 86_400,
    "confirm": True,
    "failed": "forbidden",
    "code": "not_found",
    "message": "no such conversation",
}
# Optional fields of commands that examples contain.
SHOWN = (
    "text",
    "title",
    "name",
    "device",
    "limit",
)
SHOWN_IN_ANSWERS = ("role", "read_seq", "delivered_seq", "unread", "mentions", "retry_after", "change", "by", "command")
TIMES = ("ts", "server_time", "at")
MILLIS = 1_770_000_000_000


class Example:
    """What the example of a type shows. The type declares it as its class attribute `EXAMPLE`; subclasses do not
    inherit it.

    `values`: fields whose general value in `VALUES` does not fit; of a list the only element, or all. `shown`: optional
    fields in the example of a command. `left_out`: fields that exclude another one, and are absent. `absent_if_missed`:
    fields that an event lacks if the Python client makes it of a state that it synced (`chatd/client/states.py`).
    """

    def __init__(
        self,
        *,
        shown: tuple[str, ...] = (),
        left_out: tuple[str, ...] = (),
        absent_if_missed: tuple[str, ...] = (),
        **values: Any,
    ) -> None:
        self.shown = shown
        self.left_out = left_out
        self.absent_if_missed = absent_if_missed
        self.values = values


NOTHING_TO_ADD = Example()


def example_of(kind: type[Struct]) -> Example:
    """What the type itself declares."""
    declared = vars(kind).get("EXAMPLE", NOTHING_TO_ADD)
    assert isinstance(declared, Example)
    return declared


def example(kind: type[T]) -> T:
    """An example with all fields, except those that exclude another one."""
    used = [field for field in fields_of(kind) if field.name not in example_of(kind).left_out]
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
    fields = {field.name: to_builtins(value_of(field.name, field.type, kind)) for field in shown}
    return {"t": kind.__struct_config__.tag, **fields}


def is_shown(name: str, kind: type[Struct]) -> bool:
    example_ = example_of(kind)
    return name in example_.shown or (name in SHOWN and name not in example_.left_out)


def fields_of(kind: type[Struct]) -> tuple[inspect.Field, ...]:
    form = inspect.type_info(kind)
    assert isinstance(form, inspect.StructType)
    return form.fields


def value_of(name: str, form: inspect.Type, owner: type[Struct]) -> Any:
    """An example value of this type. For `id` the entry of the owner is used."""
    known = example_of(owner).values.get(name, VALUES.get(owner.__name__.lower() if name == "id" else name))
    match form:
        case inspect.Metadata():
            return value_of(name, form.type, owner)
        case inspect.UnionType():
            return value_of(name, first_of(form), owner)
        case inspect.StructType():
            return example(form.cls)
        case inspect.ListType():
            return known if isinstance(known, list) else [value_of(name, form.item_type, owner)]
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
