"""Accounts: sign-up, credentials, bans of users, devices and addresses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.accounts import (
    authentication,
    ban_commands,
    bot_tokens,
    checks,
    commands,
    external_logins,
    idle_accounts,
    login_admin_commands,
    logins,
    openapi,
    service_tokens,
    token_commands,
)
from chatd.accounts.jwks import TUNABLES, JwksTunables, KeySets, wait_for_keys
from chatd.accounts.keys import Keyring
from chatd.accounts.personal_data import PERSONAL_DATA
from chatd.accounts.range_ban_sweep import RangeBans
from chatd.accounts.reconciliation import AccountChecks
from chatd.accounts.settings import SETTINGS, AuthSettings
from chatd.accounts.tables import TABLES
from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.metrics import number
from chatd.app.subsystem import Subsystem, background


@asynccontextmanager
async def open_accounts(node: Node, jwks_tunables: JwksTunables = TUNABLES) -> AsyncIterator[None]:
    """The keyring, authentication, and their background tasks. Raises WeakKey."""
    keys = node.services.add(Keyring(node.config))
    external = external_logins.ExternalLogins(node.config, node.db, node.cluster)
    key_sets = node.services.add(KeySets(keys, jwks_tunables))
    node.services.add(authentication.SignIn(node.config, keys, key_sets, node.db, external, node.signals))
    node.services.add(service_tokens.ServiceTokens(node.config, node.db))
    await authentication.ensure_tenants(node.db, keys, node.clock())
    reconciled = AccountChecks(node.hub, node.cluster, node.db, node.clock)
    node.cluster.reconciler.register(reconciled.check, always=True)
    async with background(node) as start:
        for tenant, key_set in key_sets.items():
            start(f"signing keys of tenant {tenant}", key_set.run)
        await wait_for_keys(keys)
        range_bans = node.services.add(RangeBans(node.config, node.db, node.hub, node.clock))
        start("range bans", range_bans.run)
        yield


async def sweep(node: Node) -> bool:
    await commands.sweep(node.db, node.clock(), node.config.get(AuthSettings).leeway)
    await service_tokens.sweep(node.db, node.clock())
    await external_logins.sweep(node.db, node.clock())
    return False


METRICS = (
    number(
        "chatd_key_set_reloads_total",
        "Requests to identity providers because a token named an unknown key.",
        lambda node: sum(key_set.reloads for key_set in node.get(KeySets).values()),
    ),
    number(
        "chatd_key_sets_failing",
        "Identity providers whose keys could not be read the last time; known keys stay in use.",
        lambda node: sum(key_set.failing for key_set in node.get(KeySets).values()),
    ),
)
ACCOUNTS = Subsystem(
    name="accounts",
    about="sign-up, credentials, bans",
    settings=SETTINGS,
    check_settings=checks.check_settings,
    check=checks.check,
    tables=TABLES,
    commands=(commands, logins, login_admin_commands, ban_commands, token_commands),
    conditions=openapi.CONDITIONS,
    jobs=(
        Job("expired logins", sweep, 3600),
        Job("idle accounts", idle_accounts.remove_idle, 60),
        Job("ended bot tokens", bot_tokens.end_overlaps, 10),
    ),
    personal_data=PERSONAL_DATA,
    metrics=METRICS,
    open=open_accounts,
)
