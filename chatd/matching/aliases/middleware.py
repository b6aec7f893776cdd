"""A command of somebody from whom others are hidden: what they name is understood, and who is in the answer is hidden in time."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from msgspec import inspect
from msgspec.structs import replace

from chatd.app.command_metrics import Meters
from chatd.app.context import Ctx
from chatd.app.effects import Effect, Effects, Reply
from chatd.app.registry import Row
from chatd.conversations.effects import WithConversation
from chatd.core.errors import Refused
from chatd.matching.aliases.aliases import Mask
from chatd.wire.base import Command, Result, error_of

NUMBERS = (inspect.IntType, inspect.FloatType, inspect.BoolType)


async def run(row: Row, ctx: Ctx, mask: Mask, command: Command) -> Effects:
    """What comes of it, ready to be delivered. Raises Refused."""
    if row.aliases:
        command = await understood(row, ctx, mask, command)
    return await hidden_in(ctx, mask, await row.handler(ctx, command))


async def understood(row: Row, ctx: Ctx, mask: Mask, command: Command) -> Command:
    """With ids instead of pseudonyms. One that is not, or no more, the asker's stays what it is: an id of nobody."""
    named = {name: getattr(command, name) for name in row.aliases}
    ids = {id_ for value in named.values() for id_ in ids_of(value)}
    if not all(mask.understands(id_) for id_ in ids):
        await refresh(ctx, mask)
    meant = {id_: mask.inward(id_) for id_ in ids}
    if not all(mask.understands(id_) for id_ in ids):
        meant |= {alias: user for user, alias in (await met_ever(ctx)).items() if alias in ids}
    return replace(command, **{name: with_ids(value, meant) for name, value in named.items()}) if ids else command


def ids_of(value: object) -> Iterator[str]:
    """Of a field: one, some, or none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from value


def with_ids(value: object, meant: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return meant[value]
    return [meant[id_] for id_ in value] if isinstance(value, list) else value


async def hidden_in(ctx: Ctx, mask: Mask, effects: Effects) -> Effects:
    """The same, once everybody is hidden who may be in the answer: it may have seen a match that was just made.

    What is committed is told in any case; when nobody can say who is to be hidden, that is the answer.
    """
    if not any(may_name(effect) for effect in effects):
        return effects
    try:
        await refresh(ctx, mask)
    except Refused as refused:
        ctx.node.get(Meters).refusals[refused.code] += 1
        return [Reply(error_of(refused)) if isinstance(effect, Reply) else effect for effect in effects]
    return effects


def may_name(effect: Effect) -> bool:
    return isinstance(effect, WithConversation) or (isinstance(effect, Reply) and can_name(type(effect.result)))


@cache
def can_name(result: type[Result]) -> bool:
    """Whether it can hold the id of a user. An answer of numbers and tickets alone, as to a ping, waits for no database."""
    info = inspect.type_info(result)
    if not isinstance(info, inspect.StructType):
        return True
    return not all(field.name == "ticket" or is_number(field.type) for field in info.fields)


def is_number(kind: inspect.Type) -> bool:
    return is_number(kind.type) if isinstance(kind, inspect.Metadata) else isinstance(kind, NUMBERS)


async def refresh(ctx: Ctx, mask: Mask) -> None:
    """Raises Refused."""
    veils = ctx.node.hub.veils
    if veils is not None:
        await veils.refresh(ctx.tenant, ctx.user, mask, ctx.now)


async def met_ever(ctx: Ctx, users: Sequence[str] | None = None) -> dict[str, str]:
    """See `Veils.met_ever`; nobody where nobody is hidden."""
    veils = ctx.node.hub.veils
    return {} if veils is None else await veils.met_ever(ctx.tenant, ctx.user, users)
