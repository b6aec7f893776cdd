"""Bot tokens: the credential of a bot, with which it signs in as a user. A bot has one.

A token is looked up in the database when a connection or a request begins, so a revocation is effective at once on all
nodes. Only the hash of a token is stored. A rotation replaces the secret; the previous secret remains valid for an
overlap. The caller closes the sessions of a secret that has ended. After an overlap, the reconciler closes those of the
previous secret.
"""

from msgspec import Struct

from chatd.accounts.token_forms import TokenForm
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.app.context import Node
from chatd.app.rate_limits import Recent
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import uuid7
from chatd.core.secrets import digest
from chatd.db import queries
from chatd.db.postgres import Postgres, Row, Tx

SQL = queries.load("accounts/bot_tokens")
FORM = TokenForm("chatd_bt_")
MAX_OVERLAP_S = 30 * 86_400
# Tokens whose last use on this node was valid: failures of their address do not matter to them.
MAX_REMEMBERED = 10_000
# The expiry of a token that does not expire: 2^53-1, the highest integer of JavaScript.
NEVER = 2**53 - 1
# Sessions of an ended secret are closed within seconds; that it has ended is noted for a day.
NOTED_MS = 86_400_000
ROUND_SIZE = 200


class NewBotToken(Struct, frozen=True):
    """The secret, which is shown once, and the tokens whose sessions have to be closed."""

    secret: str
    ended: list[str]


class BotTokens:
    """Identifies bots by their tokens."""

    def __init__(self, db: Postgres) -> None:
        self._db = db
        self._known: Recent[bytes, bool] = Recent(lambda: True, MAX_REMEMBERED)

    def is_known(self, token: str) -> bool:
        """Whether the token was valid lately, and is not a guess."""
        return self._known.get(digest(token)) is not None

    async def principal(self, token: str, now: int) -> Principal:
        """The bot of a valid token. Raises Refused: `unauthenticated`."""
        hash_ = digest(token)
        row = await self._db.one(SQL.use, hash_, now) if FORM.is_well_formed(token) else None
        if row is None:
            self._known.discard(hash_)
            raise Refused("unauthenticated", "the bot token is unknown, revoked or expired")
        self._known.of(hash_)
        expires_at = NEVER if row["expires_at"] is None else row["expires_at"]
        return Principal(row["tenant"], row["user"], row["token_id"], "", "", expires_at, is_bot=True)


async def issue(tx: Tx, actor: AuditActor, bot: str, overlap_s: int, expires_at: int | None) -> NewBotToken:
    """Give a bot a new secret. A valid previous one remains valid for the overlap, and not beyond its own expiry."""
    new, old = NewBotToken(FORM.new_secret(), []), await tx.one(SQL.lock, actor.tenant, bot)
    previous = None
    if old is not None:
        new.ended.extend(await end_previous(tx, actor, old))
        until = min(actor.now + overlap_s * 1000, NEVER if old["expires_at"] is None else old["expires_at"])
        if old["revoked_at"] is None and until > actor.now:
            previous = (old["id"], old["hash"], until)
        else:
            new.ended.append(old["id"])
            await tx.run(SQL.end_sessions, actor.tenant, old["id"], actor.now + NOTED_MS)
    values = (uuid7(actor.now), digest(new.secret), actor.now, expires_at, *(previous or (None, None, None)))
    await tx.run(SQL.write, actor.tenant, bot, *values)
    await audit_log.write(tx, actor, "bot.token", bot, {"overlap": overlap_s, "expires_at": expires_at})
    return new


async def end_previous(tx: Tx, actor: AuditActor, token: Row) -> list[str]:
    """End the secret before the last rotation, if there is one. Returns its id."""
    if token["previous_id"] is None:
        return []
    await tx.run(SQL.end_sessions, actor.tenant, token["previous_id"], actor.now + NOTED_MS)
    return [token["previous_id"]]


async def end_overlaps(node: Node) -> bool:
    """End the previous secrets whose overlap is over, and their sessions. Returns whether there may be more."""
    now = node.clock()
    ended = await node.db.all(SQL.end_overlaps, now, ROUND_SIZE, now + NOTED_MS)
    return len(ended) == ROUND_SIZE


async def revoke(tx: Tx, actor: AuditActor, bot: str) -> list[str]:
    """Revoke the token of a bot. Returns the ids whose sessions have to be closed. Raises Refused: `not_found`."""
    row = await tx.one(SQL.revoke, actor.tenant, bot, actor.now)
    if row is None:
        raise Refused("not_found", "the bot has no token, or it was revoked before")
    ended = [one for one in (row["id"], row["previous_id"]) if one is not None]
    for one in ended:
        await tx.run(SQL.end_sessions, actor.tenant, one, actor.now + NOTED_MS)
    await audit_log.write(tx, actor, "bot.revoke", bot)
    return ended
