"""All nodes of a database use one secret: the first one stores its fingerprint, the others compare."""

from chatd.core.secrets import BadSecret, fingerprint
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("app/installation")


async def check_secret(db: Postgres, secret: str) -> None:
    """Compare the secret with that of the database. Raises BadSecret if the keyed hashes of this database were made
    with another secret.
    """
    mine = fingerprint(secret)
    known = await db.value(SQL.get_or_set, mine)
    if known != mine:
        raise BadSecret(
            f"data.secret (fingerprint {mine}) is not the secret of this database ({known}): copy it from the "
            "other nodes or from"
            " the backup of data.dir. If it is lost, run `chatd secret adopt` to continue with the new one: "
            "existing"
            " address bans will no longer match."
        )


async def adopt_secret(db: Postgres, secret: str) -> str | None:
    """Continue with this secret. The fingerprint of the previous one, or None."""
    before: str | None = await db.value(SQL.replace, fingerprint(secret))
    return before
