"""All nodes of a database use one secret of the installation: the first one leaves its fingerprint, the others compare."""

from chatd.core.secrets import BadSecret, fingerprint
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("app/installation")


async def check_secret(db: Postgres, secret: str) -> None:
    """Raises BadSecret when the keyed hashes of this database were made with another secret."""
    mine = fingerprint(secret)
    known = await db.value(SQL.claim, mine)
    if known != mine:
        raise BadSecret(
            f"data.secret (fingerprint {mine}) is not the one of this database ({known}): copy it from the other nodes or from"
            " the backup of data.dir. If it is lost, `chatd secret adopt` goes on with the new one: earlier bans on addresses do"
            " not match any more."
        )


async def adopt_secret(db: Postgres, secret: str) -> str | None:
    """Go on with this secret. Returns the fingerprint of the one before, None when there was none."""
    before: str | None = await db.value(SQL.adopt, fingerprint(secret))
    return before
