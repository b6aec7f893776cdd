"""What a subsystem stores about a user: how it is exported, and how it is erased."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec import Struct

from chatd.app.context import Ctx, Node, system_context
from chatd.core.ids import NIL

BATCH_SIZE = 200


class Part(Struct, frozen=True):
    """Rows of one `type` in an export. `content`: what they are, for docs/privacy.md.

    The parameters of `statement` are tenant, user, limit and `keys`. It returns rows after these keys, ordered by them;
    `start` is before the first row. Without keys there is at most one row.
    """

    type: str
    content: str
    statement: str
    keys: tuple[str, ...] = ()
    start: tuple[Any, ...] = (NIL,)


class Remains(NamedTuple):
    """What stays of an erased user: where, and how long."""

    what: str
    where: str
    kept: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalData:
    """The personal data of a subsystem.

    `export`: what the subsystem adds to the export of a user. `remains`: what stays after an erasure.

    `forget`: statements with the parameters tenant and user that delete the few rows which are the user's own. They run
    in the transaction that begins the erasure, and again when the rest is done. `erase`: the rest. It runs on any node
    and may run several times, also on two nodes at once: each step has to find what is left to do in the data itself.
    """

    export: tuple[Part, ...] = ()
    forget: tuple[str, ...] = ()
    erase: "Callable[[Erasing], Awaitable[None]] | None" = None
    remains: tuple[Remains, ...] = ()


NO_PERSONAL_DATA = PersonalData()


class AllPersonalData(tuple[PersonalData, ...]):
    """The personal data of all subsystems, in their order. Found in `Node.services`."""

    __slots__ = ()

    @property
    def parts(self) -> list[Part]:
        """The parts of an export; those with a single row are first."""
        return sorted((part for one in self for part in one.export), key=lambda part: bool(part.keys))

    @property
    def forget(self) -> Iterable[str]:
        """The statements of all subsystems, from the last to the first, so that none erases what a later one still
        refers to.
        """
        return (statement for one in reversed(self) for statement in one.forget)

    @property
    def erase(self) -> "Iterable[Callable[[Erasing], Awaitable[None]]]":
        """The erasures of all subsystems, in the order of `forget`."""
        return (one.erase for one in reversed(self) if one.erase is not None)


class Erasing(ABC):
    """An erasure that this node works on. `position` is that of the pass through the messages, `batch_size` the number
    of rows that are erased at a time.
    """

    def __init__(
        self, node: Node, tenant: str, user: str, position: str, removed_in_pass: int, *, batch_size: int = BATCH_SIZE
    ) -> None:
        self.node = node
        self.key = (tenant, user)
        self.position = position
        self.removed_in_pass = removed_in_pass
        self.batch_size = batch_size

    @property
    def ctx(self) -> Ctx:
        """The context for commands on behalf of the user."""
        return system_context(self.node, *self.key)

    @abstractmethod
    async def hold(self) -> None:
        """Renew the lease of this node: without it, another node continues the erasure."""

    @abstractmethod
    async def advance(self, position: str, removed: int) -> None:
        """Store a new position, and count what was removed since the last one."""

    @abstractmethod
    async def restart(self) -> None:
        """Begin another pass."""

    async def in_batches(self, statement: str, *args: Any) -> None:
        """Run a statement (tenant, user, args, limit) that returns how many rows it erased, until none are left."""
        while await self.node.db.value(statement, *self.key, *args, self.batch_size) == self.batch_size:
            await self.hold()
