"""Changes of one's own profile."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from msgspec import Meta, Struct, json

from chatd.accounts.signals import ProfileChanged
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, SendSignal, ToUser
from chatd.app.registry import command
from chatd.conversations.quiet_hours import is_zone
from chatd.core.errors import Refused
from chatd.core.ids import PYTHON_END, UUID
from chatd.db import queries
from chatd.db.postgres import Row, Tx, UniqueViolation
from chatd.people import handles
from chatd.people.commands import UserResult
from chatd.people.entities import Profile, own_user_of
from chatd.people.events import UserUpdated
from chatd.people.name_index import NameIndex
from chatd.people.settings import EDITABLE, PeopleSettings
from chatd.wire.base import Command
from chatd.wire.reference.examples import UPLOAD, Example
from chatd.wire.texts import KEY, NAME, PRIVATE, PROSE

SQL = queries.load("people/profiles")
MAX_PROFILE_BYTES = 4096
# The form of a tag of BCP 47. Empty: none.
LOCALE = f"^(?:[A-Za-z]{{2,8}}(?:-[A-Za-z0-9]{{1,8}}){{0,7}})?{PYTHON_END}"
Locale = Annotated[str, Meta(pattern=LOCALE, description="A language tag such as pt-BR, or empty")]
ID_OR_NOTHING = f"^(?:{UUID})?{PYTHON_END}"
# Others do not see these.
PRIVATE_FIELDS = ("locale", "time_zone")


class UpdateUser(Command, tag="user.update"):
    """Change the given fields of your profile; an empty text removes a value. `people.editable` may exclude fields.

    `handle`: 3 to 30 letters of one script and digits, with single `.`, `_` or `-` between them; it is stored in lower
    case. Handles that look alike count as the same. A handle that you give up is held for you for a while. `avatar`: an
    image that you have uploaded. `locale`: a language tag such as pt-BR. `time_zone`: a name such as Europe/Berlin.
    `profile`: a map of your own, up to 4096 bytes of JSON, which replaces the present one. `locale` and `time_zone` are
    not shown to others.
    """

    name: Annotated[str, Meta(max_length=100, extra=NAME)] | None = None
    handle: Annotated[str, Meta(max_length=64, extra=KEY)] | None = None
    avatar: Annotated[str, Meta(pattern=ID_OR_NOTHING, description="UUID, lower case, or empty")] | None = None
    status_text: Annotated[str, Meta(max_length=140, extra=NAME)] | None = None
    profile: Annotated[Profile, Meta(extra=PROSE)] | None = None
    locale: Annotated[Locale, Meta(max_length=35)] | None = None
    time_zone: Annotated[str, Meta(max_length=64, extra=PRIVATE)] | None = None
    EXAMPLE: ClassVar = Example(
        shown=("status_text",),
        avatar=UPLOAD,
        handle="alice",
        locale="pt-PT",
        profile={"team": "red"},
        status_text="in Porto until Friday",
        time_zone="Europe/Lisbon",
    )


@command(
    UpdateUser,
    result=UserResult,
    cost=5,
    refuses=("conflict", "forbidden", "not_found", "too_large", "unauthenticated"),
    http="PATCH /v1/me",
    uncancellable=True,
)
async def update_user(ctx: Ctx, cmd: UpdateUser) -> Effects:
    """`conflict`: another user has the handle or one that looks alike, or gave it up lately. `forbidden`: a field may
    not be changed, the handle is reserved, or a filter refuses a text. `not_found`: the avatar is not an image that you
    have uploaded. `too_large`: the profile is longer than 4096 bytes of JSON. `rate_limited`: you have changed your
    handle too often within 30 days. `unauthenticated`: your account was deleted.
    """
    given = [name for name in EDITABLE if getattr(cmd, name) is not None]
    if not given:
        raise Refused("bad_request", "$: expected at least one field to change")
    handle = check(ctx, cmd, given)
    try:
        row = await ctx.node.db.in_transaction(write_profile, ctx, cmd, handle)
    except UniqueViolation:
        raise handles.taken() from None
    user = own_user_of(row)
    announced = (
        [SendSignal(ProfileChanged(ctx.tenant, ctx.user, by_user=True))]
        if set(given).difference(PRIVATE_FIELDS)
        else []
    )
    return [Reply(UserResult(user=user)), ToUser(ctx.user, UserUpdated(user=user), ctx.origin), *announced]


class NewHandle(Struct, frozen=True):
    """A handle and its key; both are empty to remove the handle."""

    handle: str = ""
    key: str = ""


def check(ctx: Ctx, cmd: UpdateUser, given: Sequence[str]) -> NewHandle | None:
    """Check the new values, and return the new handle, if any. Raises Refused."""
    settings = ctx.node.config.get(PeopleSettings)
    if refused := set(given).difference(settings.editable):
        raise Refused("forbidden", f"$.{min(refused)}: users cannot change this")
    if cmd.time_zone and not is_zone(cmd.time_zone):
        raise Refused("bad_request", "$.time_zone: expected a time zone such as Europe/Berlin")
    if cmd.profile is not None and len(json.encode(cmd.profile)) > MAX_PROFILE_BYTES:
        raise Refused("too_large", f"$.profile: expected at most {MAX_PROFILE_BYTES} bytes of JSON")
    if cmd.handle is None or not cmd.handle:
        return None if cmd.handle is None else NewHandle()
    return NewHandle(
        handle := handles.checked(cmd.handle, ctx.node.get(handles.ReservedHandles)), handles.key_of(handle)
    )


async def write_profile(tx: Tx, ctx: Ctx, cmd: UpdateUser, new: NewHandle | None) -> Row:
    """Write the change, with the index of names. Raises Refused, UniqueViolation for a handle that is taken."""
    # The file before the user, as a transaction does that deletes the file and with it the avatar.
    is_image = not cmd.avatar or await tx.one(SQL.own_image, ctx.tenant, ctx.user, cmd.avatar) is not None
    before = await tx.one(SQL.lock, ctx.tenant, ctx.user)
    if before is None:
        raise Refused("unauthenticated", "no such user")
    if not is_image:
        raise Refused("not_found", "$.avatar: expected an image that you have uploaded")
    if new is not None:
        owner = handles.Owner(ctx.tenant, ctx.user, ctx.now)
        await handles.change(tx, ctx.node.config.get(PeopleSettings), owner, before["handle_key"], new.key)
    handle, key = (None, None) if new is None else (new.handle, new.key)
    values = (cmd.name, handle, key, cmd.avatar, cmd.status_text, cmd.locale, cmd.time_zone, cmd.profile)
    row = await tx.one(SQL.update, ctx.tenant, ctx.user, *values)
    assert row is not None
    if cmd.name is not None or new is not None:
        await ctx.node.get(NameIndex).write(tx, ctx.tenant, row)
    await tx.run(SQL.touch_user_settings, ctx.tenant, ctx.user)
    return row
