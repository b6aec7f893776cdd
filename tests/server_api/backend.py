"""A backend for the tests: a daemon with service tokens, and requests with them."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import trio_asyncio

from chatd.accounts import service_tokens
from chatd.core.config import PostgresSection
from chatd.db.postgres import open_postgres
from chatd.wire.server import SCOPES
from tests.support import PATIENCE, Answer, Daemon, operator

ALL = tuple(SCOPES)


async def new_token(
    daemon: Daemon, *scopes: str, tenant: str = "default", name: str = "", expires_at: int | None = None
) -> service_tokens.NewToken:
    """A new service token; without scopes it has all of them."""
    async with (
        trio_asyncio.open_loop(),
        open_postgres(daemon.config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        return await db.in_transaction(
            service_tokens.add, operator(tenant), name or f"t{uuid4().hex}", scopes or ALL, expires_at
        )


@dataclass
class Backend:
    """Requests to a daemon with one service token."""

    daemon: Daemon
    token: str

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        return await self.daemon.rest(method, f"/v1/server{path}", body, self.token)

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        """The result of a request that must succeed."""
        answer = await self.ask(method, path, body)
        assert answer.status == 200, answer.body
        return answer.body

    async def refused(self, method: str, path: str, body: Any = None) -> str:
        """The code of a request that must be refused."""
        answer = await self.ask(method, path, body)
        assert answer.status != 200, answer.body
        return str(answer.body["code"])

    async def user(self, external_id: str, **fields: Any) -> str:
        """The id of a new user."""
        return str((await self.done("POST", "/users", {"external_id": external_id, **fields}))["user"]["id"])

    async def group(self, *members: str, **fields: Any) -> str:
        """The id of a new group."""
        made = await self.done("POST", "/conversations", {"members": list(members), **fields})
        return str(made["conversation"]["id"])


async def backend_of(daemon: Daemon, *scopes: str, tenant: str = "default", name: str = "") -> Backend:
    """A backend with a new service token; without scopes the token has all of them."""
    return Backend(daemon, (await new_token(daemon, *scopes, tenant=tenant, name=name)).secret)
