"""chatd users logins, end-login"""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from msgspec import Raw, msgpack

from chatd.accounts.logins import LoginEnded, end_for_operator, logins_of
from chatd.cli.cluster import notify_nodes
from chatd.cli.common import (
    AsJson,
    ConfigFile,
    TenantOption,
    UserId,
    checked_id,
    current_operator,
    format_time,
    print_json,
    run_with,
)
from chatd.cli.databases import database
from chatd.cli.printing import records, say
from chatd.cluster.control_messages import CloseUserSessions, DeliverToUser
from chatd.core.clock import now_ms
from chatd.core.config import Config


def list_logins(
    user: UserId, tenant: TenantOption = "default", config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """List the logins of a user, the one that was used last first.

    [bold]Example[/]

      chatd users logins 01890a5d-ac96-774b-bcce-b302099a8057
    """
    rows = run_with(config, find_logins, tenant, checked_id(user))
    if as_json:
        print_json(rows)
        return
    records(map(lines_of, rows))


async def find_logins(config: Config, tenant: str, user: str) -> list[dict[str, Any]]:
    async with database(config) as db:
        return await logins_of(db, tenant, user)


def lines_of(row: dict[str, Any]) -> Iterator[str]:
    yield f"{row['id']}  {row['name'] or 'no name'}"
    since, last = format_time(row["created_at"]), format_time(row["last_seen"])
    yield f"{row['platform'] or 'no platform'}, since {since}, last used {last} from {row['address'] or 'nowhere'}"


def end_login(
    user: UserId,
    login: Annotated[str, typer.Argument(help="The login's id.", metavar="LOGIN")],
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """End one login of a user, and close its connections.

    [bold]Example[/]

      chatd users end-login 01890a5d-ac96-774b-bcce-b302099a8057 01890a5d-b1c0-7d3a-9c55-2f1e6a7b8c9d
    """
    run_with(config, end, tenant, checked_id(user), checked_id(login))
    say("The login has ended.")


async def end(config: Config, tenant: str, user: str, login: str) -> None:
    async with database(config) as db:
        await db.in_transaction(end_for_operator, current_operator(tenant), user, login)
        at = now_ms()
    await notify_nodes(config, CloseUserSessions(tenant, user, "logged_out", login, at))
    await notify_nodes(config, DeliverToUser(tenant, user, None, Raw(msgpack.encode(LoginEnded([login])))))
