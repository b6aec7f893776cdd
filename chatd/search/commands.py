"""The search for messages that the user may see, in any script. See docs/search.md."""

import hashlib
import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import command
from chatd.conversations.aliases import resolve
from chatd.conversations.entities import Message
from chatd.core.errors import Refused
from chatd.core.ids import NIL, UUID
from chatd.search.page import Search, Spot
from chatd.search.query import Query, narrowed, parse
from chatd.wire.base import Command, Cursor, Id, Result
from chatd.wire.texts import PRIVATE
from chatd.wire.times import Moment, check_time

CURSOR = re.compile(rf"([0-9]{{1,16}})\.({UUID})\.([0-9]{{1,18}})\.([0-9a-f]{{32}})")


class SearchMessages(Command, tag="message.search"):
    """Search the messages of your conversations, newest first.

    A message must contain all words; the last word also matches as a prefix. "Words in quotes" must be adjacent, and
    `-word` excludes a word. The filters `in:`, `from:` (ids), `before:`, `after:` (a day such as 2026-03-01, or
    milliseconds) and `has:` (file, link, image) can be part of the query or given as fields; both apply. A query needs
    a word, a sender or `has`, otherwise nothing is found. In a match
    senders have their aliases.
    """

    query: Annotated[str, Meta(max_length=500, extra=PRIVATE)] = ""
    conversation: Id | None = None
    sender: Id | None = None
    before: Moment | None = None
    after: Moment | None = None
    has: Literal["file", "link", "image"] | None = None
    cursor: Cursor | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 20


class SearchHit(Struct, kw_only=True, frozen=True):
    """A message, and the matching ranges of its text: [from, to) in code points."""

    conversation: Id
    message: Message
    highlights: list[Annotated[list[int], Meta(min_length=2, max_length=2)]]


class SearchResults(Result, tag="search.results"):
    """A page of results. `cursor` is null on the last page; other pages may contain fewer results than `limit`, or
    none.
    """

    items: list[SearchHit]
    cursor: str | None


@command(SearchMessages, result=SearchResults, cost=5, http="GET /v1/search")
async def search_messages(ctx: Ctx, cmd: SearchMessages) -> Effects:
    """`bad_request`: the cursor belongs to another query. `timeout`: not even a part of a page was found in time."""
    query = query_of(cmd)
    key = key_of(ctx, query)
    since = None if cmd.cursor is None else read_cursor(cmd.cursor, key)
    search = Search(ctx, await resolved(ctx, query), cmd.limit)
    next_ = await search.run(since)
    items = [
        SearchHit(conversation=hit.conversation, message=hit.message, highlights=hit.highlights) for hit in search.hits
    ]
    cursor = None if next_ is None else f"{next_.time}.{next_.conversation}.{next_.seq}.{key}"
    return [Reply(SearchResults(items=items, cursor=cursor))]


async def resolved(ctx: Ctx, query: Query) -> Query:
    """The query with users in place of aliases; then it is restricted to the match in which the aliases are valid."""
    aliases = [alias for alias in (await resolve(ctx, query.senders)).values() if alias.is_running]
    if not aliases:
        return query
    match = aliases[0].conversation
    within = match if not query.conversations or match in query.conversations else NIL
    return msgspec.structs.replace(
        query, conversations=(within,), senders=tuple(one.user for one in aliases), by_alias=True
    )


def query_of(cmd: SearchMessages) -> Query:
    """The query and the filters in fields. A field restricts the query, and never widens it."""
    typed = parse(cmd.query)
    for moment in (typed.before, typed.after):
        check_time(moment, "$.query, before: and after:")
    query = narrowed(typed, cmd.before, cmd.after)
    return msgspec.structs.replace(
        query,
        conversations=chosen(query.conversations, cmd.conversation),
        senders=chosen(query.senders, cmd.sender),
        has=(*query.has, *([cmd.has] if cmd.has and cmd.has not in query.has else [])),
    )


def chosen(typed: tuple[str, ...], given: str | None) -> tuple[str, ...]:
    """The value of a filter: the field, or the one in the query. Two different values match nothing."""
    if given is None:
        return typed
    return (given,) if not typed or given in typed else (NIL,)


def key_of(ctx: Ctx, query: Query) -> str:
    """A key of the user and the query, so that a cursor is valid for these only."""
    return hashlib.blake2b(msgspec.json.encode((ctx.tenant, ctx.user, query)), digest_size=16).hexdigest()


def read_cursor(cursor: str, key: str) -> Spot:
    """Decode a cursor. Raises Refused: `bad_request`."""
    match = CURSOR.fullmatch(cursor)
    if match is None or match[4] != key:
        raise Refused("bad_request", "$.cursor: not a cursor of this query")
    return Spot(int(match[1]), match[2], int(match[3]))
