"""Accounts: sign-up, credentials, bans of users, devices and addresses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.accounts import authentication, ban_commands, checks, commands, idle_accounts, jwks, openapi
from chatd.accounts.keys import Keyring
from chatd.accounts.personal_data import PERSONAL_DATA
from chatd.accounts.range_ban_sweep import RangeBans
from chatd.accounts.reconciliation import AccountChecks
from chatd.accounts.settings import SETTINGS, AuthSettings
from chatd.accounts.tables import TABLES
from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem, background


@asynccontextmanager
async def open_accounts(node: Node) -> AsyncIterator[None]:
    """The keyring, authentication, and their background tasks. Raises WeakKey."""
    keys = node.services.add(Keyring(node.config))
    node.services.add(authentication.SignIn(node.config, keys, node.db))
    await authentication.ensure_tenants(node.db, keys, node.clock())
    reconciled = AccountChecks(node.hub, node.cluster, node.db, node.clock)
    node.cluster.reconciler.register(reconciled.check, always=True)
    async with background(node) as start:
        start("signing keys", jwks.watch, keys)
        await jwks.wait_for_keys(keys)
        range_bans = node.services.add(RangeBans(node.config, node.db, node.hub, node.clock))
        start("range bans", range_bans.run)
        yield


async def sweep(node: Node) -> bool:
    await commands.sweep(node.db, node.clock(), node.config.get(AuthSettings).leeway)
    return False


ACCOUNTS = Subsystem(
    name="accounts",
    about="sign-up, credentials, bans",
    settings=SETTINGS,
    check_settings=checks.check_settings,
    check=checks.check,
    tables=TABLES,
    commands=(commands, ban_commands),
    conditions=openapi.CONDITIONS,
    jobs=(Job("expired logins", sweep, 3600), Job("idle accounts", idle_accounts.remove_idle, 60)),
    personal_data=PERSONAL_DATA,
    open=open_accounts,
)
