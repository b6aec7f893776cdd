"""Control messages of other nodes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Raw, inspect, msgpack

from chatd.app.context import Node
from chatd.app.maintenance import Maintenance, MaintenanceChanged, change
from chatd.app.subsystem import Subsystem
from chatd.cluster import control_messages
from chatd.cluster.bus import Bus
from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import ControlMessage, declared
from chatd.core.config import Config, RedisSection
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.realtime.hub import Hub
from chatd.subsystems import SUBSYSTEMS
from tests.conftest import Servers
from tests.support import PATIENCE, operator, running


def test_every_control_message_applies_itself() -> None:
    """A new verb across nodes is one class: no other code defines what a message does."""
    assert [kind.__name__ for kind in declared() if kind.apply is ControlMessage.apply] == []


def value_of(form: inspect.Type) -> Any:
    match form:
        case inspect.UnionType():
            return None
        case inspect.ListType() | inspect.CollectionType() | inspect.DictType():
            return {} if isinstance(form, inspect.DictType) else []
        case inspect.BoolType():
            return False
        case inspect.IntType() | inspect.FloatType():
            return 1
        case inspect.BytesType():
            return b"x"
        case inspect.RawType():
            return Raw(msgpack.encode({}))
        case inspect.StructType() | inspect.DataclassType():
            return message_of(form.cls)
        case _:
            return "x"


def message_of(kind: type[Any]) -> Any:
    """A message with a value in each required field."""
    form = inspect.type_info(kind)
    assert isinstance(form, inspect.StructType | inspect.DataclassType)
    return kind(**{field.name: value_of(field.type) for field in form.fields if field.required})


async def test_a_running_node_applies_every_control_message(config: Config) -> None:
    """The messages of all subsystems can be sent, and find their services."""
    applied = set[type[ControlMessage]]()

    @asynccontextmanager
    async def apply_all(node: Node) -> AsyncIterator[None]:
        """All other subsystems are open."""
        decode = control_messages.decoder().decode
        for kind in declared():
            message = decode(control_messages.encode(message_of(kind)))
            await message.apply(node.cluster)
            applied.add(type(message))
        yield

    async with running(config, (*SUBSYSTEMS, Subsystem(name="probe", open=apply_all))):
        assert applied == set(declared())


async def test_a_node_skips_messages_for_services_that_are_not_open(servers: Servers, db: Postgres) -> None:
    """Control messages arrive before the services exist."""
    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis:
        cluster = Cluster(Hub(), Bus(redis, "new"), db)
        await change(db, operator(), True, "", None)
        await cluster.handle(control_messages.encode(MaintenanceChanged()))
        maintenance = cluster.services.add(Maintenance(db, cluster.hub))
        assert not maintenance.enabled
        await cluster.handle(control_messages.encode(MaintenanceChanged()))
        assert maintenance.enabled
