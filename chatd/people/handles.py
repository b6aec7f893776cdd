"""Handles: unique names of users within a tenant, such as `anna.b`.

A handle is stored folded: in lower case, in one normal form, with ASCII digits. `key_of` is the same for handles that
look alike, and unique in a tenant. A user who changes the handle gives up the old one, which is held for them: nobody
else can take it for a while.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from msgspec import Struct

from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.batches import delete_all
from chatd.db.postgres import Postgres, Tx
from chatd.people.lookalikes import is_of_one_script, skeleton
from chatd.people.settings import PeopleSettings

SQL = queries.load("people/handles")
MIN_LENGTH, MAX_LENGTH = 3, 30
# Separators stand alone, between letters and digits.
SEPARATORS = re.compile(r"[._-]")
LETTERS = tuple(str.maketrans("0134578", f"o{one}east" + "b") for one in "li")
DAY_MS = 86_400_000
# The time in which a user may change the handle `people.handle_changes` times.
PERIOD_MS = 30 * DAY_MS
EXPECTED = (
    f"expected {MIN_LENGTH} to {MAX_LENGTH} letters of one script and digits, with single `.`, `_` or `-` between them"
)


def handle_form(text: str) -> str:
    """The form in which a handle is stored and compared. Raises ValueError if the text cannot be a handle."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.removeprefix("@")).casefold())
    form = "".join(map(ascii_digit, folded))
    parts = SEPARATORS.split(form)
    if not MIN_LENGTH <= len(form) <= MAX_LENGTH or not all(map(is_word, parts)) or not is_of_one_script(form):
        raise ValueError(EXPECTED)
    return form


def ascii_digit(char: str) -> str:
    return str(unicodedata.decimal(char)) if char.isdecimal() else char


def is_word(part: str) -> bool:
    """Whether this consists of letters, their marks and digits, and does not begin with a mark."""
    return bool(part) and part[0].isalnum() and all(char.isalnum() or is_mark(char) for char in part)


def is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc")


def key_of(handle: str) -> str:
    """The key of a handle, which is the same for handles that look alike, also in capitals."""
    return skeleton(skeleton(handle).casefold())


class ReservedHandles:
    """Handles that nobody may have, nor one that looks alike, nor one that is read as one of them: with digits in place
    of letters (`adm1n`), or with separators (`ad.min`). Raises ValueError for a text that cannot be a handle.
    """

    def __init__(self, handles: Iterable[str]) -> None:
        self._keys = frozenset(key for handle in handles for key in readings(handle_form(handle)))

    def __contains__(self, handle: str) -> bool:
        return not self._keys.isdisjoint(readings(handle))


def readings(handle: str) -> set[str]:
    """The keys of the ways to read a handle. A digit one is read as `l` or as `i`."""
    joined = SEPARATORS.sub("", handle)
    return {key_of(joined), *(key_of(joined.translate(letters)) for letters in LETTERS)}


def key_hash(tenant: str, key: str) -> bytes:
    return hashlib.sha256(f"{tenant}\x00{key}".encode()).digest()


def checked(text: str, reserved: ReservedHandles) -> str:
    """The handle that a user asks for. Raises Refused: `bad_request`, `forbidden` for a reserved one."""
    try:
        handle = handle_form(text)
    except ValueError as error:
        raise Refused("bad_request", f"$.handle: {error}") from None
    if handle in reserved:
        raise Refused("forbidden", "$.handle: this handle is reserved, or looks like a reserved one")
    return handle


class Owner(Struct, frozen=True):
    """The user whose handle changes, and when."""

    tenant: str
    user: str
    now: int


async def change(tx: Tx, settings: PeopleSettings, owner: Owner, old_key: str | None, key: str) -> None:
    """Give up the old handle, and take the new one, if any. The unique index refuses a handle that another user has.

    Raises Refused: `conflict` for a handle that another user gave up lately, `rate_limited` for too many changes.
    """
    if key == (old_key or ""):
        return
    keys = [one for one in (old_key, key) if one]
    # A handle that is given up and taken at once: the second transaction sees what the first one has recorded.
    await tx.run(SQL.lock, owner.tenant, keys)
    if key:
        since = owner.now - settings.handle_hold_days * DAY_MS
        if await tx.one(SQL.held_for_another, owner.tenant, owner.user, key_hash(owner.tenant, key), since) is not None:
            raise taken()
    if old_key:
        await check_pace(tx, owner, settings.handle_changes)
        values = (uuid7(owner.now), owner.user, key_hash(owner.tenant, old_key), owner.now)
        await tx.run(SQL.release, owner.tenant, *values)


async def check_pace(tx: Tx, owner: Owner, most: int) -> None:
    rows = await tx.all(SQL.recent_changes, owner.tenant, owner.user, owner.now - PERIOD_MS, most)
    if len(rows) >= most:
        wait_ms = rows[-1]["released_at"] + PERIOD_MS - owner.now
        raise Refused("rate_limited", f"a handle can be changed {most} times in 30 days", retry_after=wait_ms / 1000)


def taken() -> Refused:
    return Refused("conflict", "$.handle: this handle, or one that looks alike, is taken")


async def sweep(db: Postgres, settings: PeopleSettings, now: int) -> None:
    """Delete changes that neither hold a handle nor count for the pace."""
    await delete_all(db, SQL.sweep, now - max(settings.handle_hold_days * DAY_MS, PERIOD_MS))
