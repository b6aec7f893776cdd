"""The search for users by the beginning of a name or a handle."""

import base64
import binascii
from typing import Annotated

from msgspec import Meta

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.rate_limits import UserLimits
from chatd.app.registry import command
from chatd.core.errors import Refused
from chatd.core.ids import NIL, is_uuid
from chatd.db.batches import page_of
from chatd.people.entities import User, card_of
from chatd.people.name_index import NameIndex
from chatd.people.names import search_form
from chatd.people.settings import PeopleSettings
from chatd.wire.base import Command, Result
from chatd.wire.texts import PRIVATE

# A text of 100 characters of up to four bytes, and an id, in base64.
MAX_CURSOR = 640


class SearchLimits(UserLimits):
    """The searches of each user."""

    @classmethod
    def of_settings(cls, settings: PeopleSettings) -> "SearchLimits":
        return cls(settings.searches_per_minute / 60, settings.searches_per_minute)


class SearchUsers(Command, tag="user.search"):
    """Find users by the beginning of their handle or, with `people.search = "names"`, of a word of their name.

    With `@` before it, the query is for handles only. Case, accents and punctuation do not matter. Users with a block
    between you and them are not found.
    """

    query: Annotated[str, Meta(min_length=1, max_length=100, extra=PRIVATE)]
    cursor: Annotated[str, Meta(max_length=MAX_CURSOR, extra=PRIVATE)] | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 20


class FoundUsers(Result, tag="user.results"):
    """A page of users, in alphabetical order of what was found. `cursor` is null on the last page."""

    items: list[User]
    cursor: str | None


@command(SearchUsers, result=FoundUsers, cost=5, refuses=("forbidden",), http="GET /v1/users")
async def search_users(ctx: Ctx, cmd: SearchUsers) -> Effects:
    """`forbidden`: the search is disabled. `rate_limited`: more than `people.searches_per_minute`."""
    if ctx.node.config.get(PeopleSettings).search == "off":
        raise Refused("forbidden", "the search for users is disabled")
    ctx.node.get(SearchLimits).charge(ctx.tenant, ctx.user, 1)
    query = search_form(cmd.query)
    after = (query, NIL) if cmd.cursor is None else read_cursor(cmd.cursor, query)
    if not query:
        return [Reply(FoundUsers(items=[], cursor=None))]
    of_handles = cmd.query.startswith("@")
    rows = await ctx.node.get(NameIndex).find(ctx, query, after, cmd.limit + 1, handles_only=of_handles)
    page, more = page_of(rows, cmd.limit)
    cursor = cursor_of(page[-1]["text"], page[-1]["id"]) if more else None
    return [Reply(FoundUsers(items=[card_of(row) for row in page], cursor=cursor))]


def cursor_of(text: str, user: str) -> str:
    """The position of an entry that the requester was shown."""
    return base64.urlsafe_b64encode(f"{user}{text}".encode()).decode()


def read_cursor(cursor: str, query: str) -> tuple[str, str]:
    """Text and user of the last entry. Raises Refused: `bad_request`."""
    try:
        decoded = base64.b64decode(cursor, altchars="-_", validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    user, text = decoded[: len(NIL)], decoded[len(NIL) :]
    if not is_uuid(user) or search_form(text) != text or not text.startswith(query):
        raise Refused("bad_request", "$.cursor: not a cursor of this query")
    return text, user
