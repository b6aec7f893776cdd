"""Commands that are not for users: what every such group of commands refuses. Pass the rows of its guard."""

from collections.abc import Sequence
from types import SimpleNamespace

from msgspec import to_builtins

from chatd.app.command_metrics import CommandMetrics
from chatd.app.context import Ctx
from chatd.app.dispatch import CommandTimeout, run_command
from chatd.app.registry import Row
from chatd.core.config import Config
from chatd.core.services import Services
from chatd.subsystems import load_registry
from chatd.wire.base import Command, Error, Result
from chatd.wire.codec import codecs
from chatd.wire.reference.examples import example_body
from tests.support import Daemon


async def check_sockets_refuse(daemon: Daemon, rows: Sequence[Row], prefix: str) -> None:
    """No codec decodes one of them, in either codec."""
    for kind in codecs(load_registry().on_socket).values():
        assert not [tag for tag in kind._forms if tag.startswith(prefix)]
    async with daemon.person("ann", "json") as person, daemon.person("ben", "msgpack") as other:
        for row in rows:
            fields = {name: value for name, value in to_builtins(example_body(row.command)).items() if name != "t"}
            for one in (person, other):
                assert (await one.refused(row.tag, **fields)).code == "unknown_command"


async def check_dispatch_refuses(rows: Sequence[Row], command: Command) -> None:
    """Also where a client without the right credential reaches it."""
    services = Services()
    for service in (CommandMetrics(), CommandTimeout(5.0)):
        services.add(service)
    for row in rows:
        answers: list[Result] = []
        ctx = Ctx(SimpleNamespace(config=Config(), get=services.get), None, "", "", 0, answers.append)
        await run_command(row, ctx, command)
        assert isinstance(answers[0], Error)
        assert answers[0].code == "unauthenticated"
