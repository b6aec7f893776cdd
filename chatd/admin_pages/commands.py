"""Runs admin commands for the pages: the same functions, in the same way, as the admin API."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import convert

from chatd.app.context import Ctx, Node
from chatd.app.dispatch import run_command
from chatd.app.encoding import Answer, EncodedResult
from chatd.app.registry import Guard, Registry, Row
from chatd.core.errors import Refused
from chatd.core.identity import AdminScope
from chatd.wire.base import Command, Error, Result
from chatd.wire.explanations import explain
from chatd.wire.validation import untyped_fields


class AdminCommands:
    """All admin commands by their tag without `admin.`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        rows = node.get(Registry).commands.values()
        self.rows = {row.tag.removeprefix("admin."): row for row in rows if row.guard is Guard.ADMIN}

    async def run(self, scope: AdminScope, address: str, name: str, fields: Mapping[str, Any]) -> Any:
        """The result of a command. `fields` may be texts of a form. Raises Refused."""
        row = self.rows[name]
        command = self._command(row, {**fields, "tenant": scope.tenant})
        answers: list[Answer] = []
        ctx = Ctx(self._node, None, "", address, self._node.clock(), answers.append, admin=scope)
        await run_command(row, ctx, command)
        return result_of(row, answers[0])

    def _command(self, row: Row, fields: Mapping[str, Any]) -> Command:
        try:
            command = convert(fields, row.command, strict=False)
        except msgspec.ValidationError as error:
            raise Refused("bad_request", explain(error)) from None
        untyped_fields(row.command).check(command, self._node.config.gateway.max_depth, nul=True)
        return command


def result_of(row: Row, answer: Answer) -> Result:
    """The result of a command as its type. Raises Refused."""
    if isinstance(answer, EncodedResult):
        return msgspec.json.decode(answer.wrapped(b"", b""), type=row.result)
    if isinstance(answer, Error):
        raise Refused(answer.code, answer.message, retry_after=answer.retry_after or None)
    return answer
