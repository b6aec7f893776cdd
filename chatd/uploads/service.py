"""Uploads as rows with bytes: stored, read, removed, swept.

The row is written before the bytes and deleted after them, so a crash leaves rows, which the sweep finds, and never
bytes without a row. Each download checks the permission in the database, so a leaked key gives no access.

A transaction that writes `upload_uses` must lock the row of the upload `for share` with `removed_at is null`; then the
sweep cannot delete the bytes at the same time.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import trio

from chatd.accounts.bans import hash_of
from chatd.app.context import Node
from chatd.core import log
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import NIL, uuid7
from chatd.db import queries
from chatd.db.batches import delete_all, to_unnest_arrays
from chatd.db.postgres import Row, Tx
from chatd.uploads import file_types, images
from chatd.uploads.blobs import BlobMissing, Blobs, new_key
from chatd.uploads.events import PATH, Upload
from chatd.uploads.image_headers import BadImage, TooLarge
from chatd.uploads.settings import RemovalSettings, UploadSettings

LOG = log.get(__name__)
SQL = queries.load("uploads/uploads")
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
# How long the row of a removed file is kept, without name and bytes.
REMOVED_ROWS_KEPT_MS = 30 * DAY_MS
# Images that are decoded at once, each with up to four bytes for a pixel, twice.
DECODERS = trio.CapacityLimiter(2)
# An image may become larger when it is re-encoded, up to this many times the largest file.
MAX_GROWTH = 2
# Runs one statement with its arguments: a method of `Postgres`, or of a connection within a transaction.
Statement = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file to store."""

    data: bytes
    mime: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """The properties of a stored file."""

    key: str
    mime: str
    size: int
    sha256: str
    name: str | None


async def prepared(data: bytes, settings: UploadSettings) -> Content:
    """Detect the type, and re-encode images. Raises Refused: `bad_request`, `too_large`."""
    mime = file_types.sniff(data)
    if mime not in file_types.IMAGES:
        return Content(data, mime)
    work = lambda: images.reencode(data, mime, settings.max_pixels)  # noqa: E731
    try:
        made, width, height = await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=DECODERS)
    except TooLarge as error:
        raise Refused("too_large", str(error)) from None
    except BadImage as error:
        raise Refused("bad_request", str(error)) from None
    if len(made) > MAX_GROWTH * settings.max_bytes:
        raise Refused("too_large", "the image becomes too large when it is re-encoded")
    return Content(made, mime, width, height)


class Payer:
    """The user and the address that an upload counts for. `address` is a bucket; empty: no quota of an address."""

    def __init__(self, config: Config, who: Principal, address: str) -> None:
        self._settings = config.get(UploadSettings)
        self._who = (who.tenant, who.user)
        self._address_hash = hash_of(config, address) if address else None

    async def check(self, find: Statement, size: int, now: int) -> None:
        """Check that `size` more bytes fit into the quotas. Raises Refused: `rate_limited`."""
        used = await find(SQL.quota_usage, *self._who, now - DAY_MS, self._address_hash, (now - DAY_MS) // HOUR_MS)
        if used["by_user"] + size > self._settings.user_quota_bytes:
            raise over_quota("you have reached the upload limit of one user within 24 hours")
        if used["by_address"] + size > self._settings.address_quota_bytes:
            raise over_quota("your address has reached its upload limit within 24 hours")

    async def charge(self, run: Statement, size: int, now: int) -> None:
        """Count bytes for the address, if the user is anonymous."""
        if self._address_hash is not None:
            await run(SQL.charge_address, *self._who, self._address_hash, now // HOUR_MS, size)


async def check_quota(node: Node, payer: Payer, now: int) -> None:
    """Check the quotas before a file is received. Raises Refused: `rate_limited`."""
    await payer.check(node.db.one, 1, now)


def over_quota(message: str) -> Refused:
    return Refused("rate_limited", message, retry_after=3600)


async def keep(node: Node, who: Principal, payer: Payer, content: Content, name: str | None, now: int) -> Upload:
    """Store a file. Raises Refused: `rate_limited` over the quotas, `unavailable`."""
    id_, key = uuid7(now), new_key()
    size, digest = len(content.data), await trio.to_thread.run_sync(digest_of, content.data)
    row = (who.tenant, id_, who.user, key, content.mime, size, digest, name, content.width, content.height, now)
    await node.db.in_transaction(add, payer, row, size)
    try:
        await node.get(Blobs).put(key, content.data)
    except Refused:
        await node.db.run(SQL.delete_unwritten, who.tenant, id_)
        await payer.charge(node.db.run, -size, now)
        raise
    url = f"{node.config.http.public_url}{PATH}/{id_}"
    return Upload(id_, url, key, content.mime, size, name, content.width, content.height, now)


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


async def add(tx: Tx, payer: Payer, row: tuple[Any, ...], size: int) -> None:
    """Insert the row if it fits into the quotas, also with simultaneous uploads of the same owner or address."""
    tenant, owner, now = row[0], row[2], row[-1]
    await tx.run(SQL.lock_owner, tenant, owner)
    # The charge locks the hour of the address until the end of the transaction; a refusal reverts it.
    await payer.charge(tx.run, size, now)
    await tx.run(SQL.add, *row)
    await payer.check(tx.one, 0, now)


async def find(node: Node, who: Principal, upload: str) -> Stored:
    """The upload. Raises Refused: `not_found`, also if the user may not read it."""
    row = await node.db.one(SQL.readable_file, who.tenant, upload, who.user)
    if row is None:
        raise missing()
    return Stored(**dict(row))


def missing() -> Refused:
    return Refused("not_found", "no such upload")


async def remove(node: Node, who: Principal, upload: str, now: int) -> None:
    """Remove a file for all users, on request of its owner; evidence keeps its bytes. Raises Refused: `not_found`."""
    until = now + round(node.config.get(RemovalSettings).keep_removed * 1000)
    row = await node.db.one(SQL.mark_deleted, who.tenant, upload, who.user, now, until)
    if row is None:
        raise missing()
    if row["is_evidence"]:
        return
    try:
        await erase(node, who.tenant, upload, row["key"])
    except Refused:
        LOG.warning(
            "the file of a removed upload could not be deleted; the sweep tries again", extra={"upload": upload}
        )


async def erase(node: Node, tenant: str, upload: str, key: str) -> None:
    """Delete the bytes of an upload that is marked as removed. It may be repeated."""
    with suppress(BlobMissing):
        await node.get(Blobs).delete(key)
    await node.db.run(SQL.set_bytes_deleted, tenant, upload)


class Sweep:
    """Sweeps all uploads, a bounded number in each run; the next run continues after the last one.

    Removes uploads that nothing has used for a day, finishes interrupted work, and deletes the rows of files that were
    removed a month ago.
    """

    BEGINNING = (NIL, "")

    def __init__(self, node: Node, page: int = 1000, pages: int = 100) -> None:
        self._node = node
        self._page = page
        self._pages = pages
        self._position = self.BEGINNING

    async def run(self, now: int) -> None:
        """Sweep once. Raises Refused if a database or the store is unavailable; the next run continues there."""
        await delete_all(self._node.db, SQL.sweep_addresses, (now - DAY_MS) // HOUR_MS)
        for _ in range(self._pages):
            rows = await self._node.db.all(
                SQL.page_for_sweep, *self._position, now - DAY_MS, self._page, now, now - REMOVED_ROWS_KEPT_MS
            )
            for row in rows:
                if row["bytes_remain"]:
                    await erase(self._node, row["tenant"], row["id"], row["key"])
            await self._take([(row["tenant"], row["id"]) for row in rows if row["unused"]], now)
            old = [(row["tenant"], row["id"]) for row in rows if row["row_expired"]]
            if old:
                await self._node.db.run(SQL.delete_old_rows, *to_unnest_arrays(old, 2))
            self._position = (rows[-1]["id"], rows[-1]["tenant"]) if len(rows) == self._page else self.BEGINNING
            if self._position == self.BEGINNING:
                return

    async def _take(self, unused: list[tuple[str, str]], now: int) -> None:
        if not unused:
            return
        for row in await self._node.db.in_transaction(claim_unused, unused, now):
            await erase(self._node, row["tenant"], row["id"], row["key"])


async def claim_unused(tx: Tx, unused: Sequence[tuple[str, str]], now: int) -> list[Row]:
    """Mark those as removed that are still unused."""
    locked: list[Any] = list(await tx.all(SQL.lock_unused, *to_unnest_arrays(unused, 2)))
    return await tx.all(SQL.claim_unused, *to_unnest_arrays(locked, 2), now)


async def sweep(node: Node) -> bool:
    """Run a bounded part of the sweep; see `Sweep`."""
    await node.get(Sweep).run(node.clock())
    return False
