"""Authentication: from a credential to a Principal. The gateway and HTTP use it; nothing else identifies users."""

import re

from msgspec.structs import astuple

from chatd.accounts import bans, bot_tokens
from chatd.accounts.bot_tokens import BotTokens
from chatd.accounts.external_logins import ExternalLogins
from chatd.accounts.jwks import KeySets
from chatd.accounts.keys import Keyring, UnknownKey
from chatd.accounts.profile_claims import NewProfile, new_profile
from chatd.accounts.session_states import SessionStates
from chatd.accounts.settings import AccountLimits, AuthSettings, BanNotice
from chatd.accounts.signals import ProfileChanged
from chatd.app.rate_limits import AddressLimits
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.secrets import digest
from chatd.core.signals import Signals
from chatd.db import queries
from chatd.db.postgres import Postgres, Row
from chatd.realtime.pending_session import PendingSession

SQL = queries.load("accounts/sign_in")
# A ticket: 24 bytes in base64url.
TICKET = re.compile(r"ct_[A-Za-z0-9_-]{32}")


class SignIn:
    """Verifies credentials and looks up their users."""

    def __init__(
        self, config: Config, keys: Keyring, key_sets: KeySets, db: Postgres, logins: ExternalLogins, signals: Signals
    ) -> None:
        self._config = config
        self._create = config.get(AuthSettings).create_users
        self._keys = keys
        self._key_sets = key_sets
        self._db = db
        self._logins = logins
        self._signals = signals
        self._states = SessionStates(db)
        self._bots = BotTokens(db)
        self._failures = AddressLimits(config.get(AccountLimits).auth_failures_per_minute)
        self.signup_limiter = AddressLimits(config.get(AccountLimits).signups_per_minute)

    async def principal(self, address: str, *, token: str | None, ticket: str | None = None, now: int) -> Principal:
        """The user of a credential.

        Raises Refused: `unauthenticated`; `rate_limited` for an address with too many failures.
        """
        if token is None:
            self.check_failures(address)
        try:
            return await self._principal(address, token, ticket, now)
        except Refused as refused:
            if refused.code == "unauthenticated":
                self.note_failure(address)
            raise

    def check_failures(self, address: str) -> None:
        """Call this before a look-up in the database.

        Raises Refused: `rate_limited` for an address with too many failures.
        """
        self._failures.check(address, 0)

    def note_failure(self, address: str) -> None:
        """Count a rejected credential. Raises Refused: `rate_limited` for one too many."""
        self._failures.check(address)

    async def _principal(self, address: str, token: str | None, ticket: str | None, now: int) -> Principal:
        if token is not None and token.startswith(bot_tokens.FORM.prefix):
            return await self._bot(address, token, now)
        if token is not None:
            return await self._verified(address, token, now)
        if ticket is not None and TICKET.fullmatch(ticket):
            return await self._redeem(ticket, now)
        raise Refused("unauthenticated", "no credential" if ticket is None else "malformed ticket")

    async def _verified(self, address: str, token: str, now: int) -> Principal:
        """The user of a token. Reads the keys of its tenant again if the key of the token is unknown."""
        try:
            return self._keys.verify(token, now)
        except UnknownKey as unknown:
            self.check_failures(address)
            try:
                await self._key_sets.reload(unknown)
            except Refused:
                self.note_failure(address)
                raise
            return self._keys.verify(token, now)

    async def _bot(self, address: str, token: str, now: int) -> Principal:
        """The bot of a token."""
        if not self._bots.is_known(token):
            self.check_failures(address)
        return await self._bots.principal(token, now)

    async def _redeem(self, ticket: str, now: int) -> Principal:
        """Redeem a connection ticket, which works once: the statement that reads it deletes it."""
        row = await self._db.one(SQL.redeem_ticket, digest(ticket), now)
        if row is None:
            raise Refused("unauthenticated", "the ticket is unknown, expired or used")
        return Principal(**dict(row))

    async def enter(self, principal: Principal, address: str, now: int, pending: PendingSession) -> None:
        """Check a user who connects, and load the state of the session. Raises Refused: `unauthenticated`, `banned`."""
        hashes = bans.address_hashes(self._config, address)
        row = await self._states.of(principal, hashes, now)
        await self._check(row, principal, address, now)
        pending.topics += zip(row["conversations"], row["revs"], strict=True)
        pending.match, pending.match_delivered = row["match"], row["announced"]
        pending.suppressed = dict.fromkeys(row["blocked"], True) | pending.suppressed

    async def check(self, principal: Principal, address: str, now: int) -> None:
        """Check that the credential is still accepted. Raises Refused: `unauthenticated`, `banned`."""
        login, hashes = principal.login or None, bans.address_hashes(self._config, address)
        key = (principal.tenant, principal.user, principal.token_id, login)
        row = await self._db.one(SQL.credential_state, *key, hashes, now)
        await self._check(row, principal, address, now)

    async def _check(self, row: Row | None, principal: Principal, address: str, now: int) -> None:
        bans.raise_if_banned(self._config.get(BanNotice), row)
        if row is not None and row["is_deactivated"]:
            raise Refused("unauthenticated", "this user is deactivated")
        is_unknown = bool(principal.login) and row is not None and row["last_seen"] is None
        if row is None or row["revoked"] or (is_unknown and not principal.has_external_login):
            raise Refused("unauthenticated", "this login has ended")
        if row["is_bot"] is not principal.is_bot:
            raise Refused("unauthenticated", "a bot signs in with its own token")
        profile = new_profile(principal.claims, principal.external_id, row["claims"], row["claims_at"])
        if not row["user_exists"]:
            await self._make_user(principal, profile, now)
        elif profile is not None:
            await self._take(principal, profile)
        if principal.has_external_login:
            await self._logins.see(principal, address, row["last_seen"], now)

    async def _make_user(self, principal: Principal, profile: NewProfile | None, now: int) -> None:
        if not self._create:
            raise Refused("unauthenticated", "no such user")
        first = profile or NewProfile(principal.external_id, None, None, None, None, None, None)
        await self._db.run(SQL.create_user, principal.tenant, principal.user, now, *astuple(first))

    async def _take(self, principal: Principal, profile: NewProfile) -> None:
        """Store claims that have changed."""
        if await self._db.one(SQL.take_claims, principal.tenant, principal.user, *astuple(profile)) is not None:
            await self._signals.send(ProfileChanged(principal.tenant, principal.user))


async def ensure_tenants(db: Postgres, keys: Keyring, now: int) -> None:
    """Insert a row for each tenant of the configuration."""
    await db.run(SQL.ensure_tenants, list(keys.tenants), now)
