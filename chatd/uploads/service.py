"""Uploads as rows with bytes: stored, found, removed.

The row is written before the bytes and deleted after them, so a crash leaves rows, which the sweep finds, and never
bytes without a row. Each download checks the permission in the database, so a leaked key gives no access.

A transaction that writes `upload_uses` must lock the row of the upload `for share` with `removed_at is null`; then the
sweep cannot delete the bytes at the same time.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from chatd.app.context import Node
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Row, Tx
from chatd.uploads.blobs import Blobs, NoKey, Presigned, new_key, thumbnail_key
from chatd.uploads.content import Content
from chatd.uploads.events import SignedUrl, SignedUrls, Upload, upload_of
from chatd.uploads.file_names import disposition
from chatd.uploads.file_types import INLINE
from chatd.uploads.media.protocol import Facts
from chatd.uploads.quotas import Payer
from chatd.uploads.settings import RemovalSettings
from chatd.uploads.signed_urls import Part, UrlSigner

LOG = log.get(__name__)
SQL = queries.load("uploads/uploads")


@dataclass(frozen=True, slots=True)
class Stored:
    """The properties of stored bytes. `sha256`: the digest, or another text that changes with the content."""

    key: str
    mime: str
    size: int
    sha256: str
    name: str | None


@dataclass(frozen=True, slots=True)
class NewUpload:
    """An upload to store: the values of its row."""

    tenant: str
    id: str
    owner: str
    name: str | None
    created_at: int
    key: str
    content: Content

    def values(self) -> tuple[object, ...]:
        """In the order of the statement `add`."""
        facts, content = self.content.facts, self.content
        thumbnail_size = None if content.thumbnail is None else len(content.thumbnail)
        return (
            *(self.tenant, self.id, self.owner, self.key, facts.mime, len(content.data), content.sha256, self.name),
            *(facts.width, facts.height, facts.duration_ms, facts.placeholder, facts.waveform, thumbnail_size),
            self.created_at,
        )


def new_upload(who: Principal, content: Content, name: str | None, now: int, id_: str | None = None) -> NewUpload:
    return NewUpload(who.tenant, id_ or uuid7(now), who.user, name, now, new_key(), content)


async def keep(node: Node, payer: Payer, new: NewUpload) -> Upload:
    """Store a file. Raises Refused: `rate_limited` over the quotas, `unavailable`."""
    now, size = new.created_at, len(new.content.data)
    await node.db.in_transaction(add, payer, new)
    try:
        await write(node.get(Blobs), new)
    except Refused:
        await node.db.run(SQL.mark_unwritten, new.tenant, new.id)
        await payer.charge(node.db.run, -size, now)
        raise
    return described(node, new)


async def add(tx: Tx, payer: Payer, new: NewUpload) -> None:
    """Insert the row if it fits into the quotas, also with simultaneous uploads of the same owner or address."""
    await payer.lock(tx.run)
    # The charge locks the hour of the address until the end of the transaction; a refusal reverts it.
    await payer.charge(tx.run, len(new.content.data), new.created_at)
    await tx.run(SQL.add, *new.values())
    await payer.check(tx.one, 0, new.created_at)


async def write(blobs: Blobs, new: NewUpload) -> None:
    """Store the bytes. Raises Refused: `unavailable`."""
    content = new.content
    if content.thumbnail is not None:
        await blobs.put(thumbnail_key(new.key), content.thumbnail)
    await blobs.put(new.key, content.data)


def described(node: Node, new: NewUpload) -> Upload:
    """The answer for a file that has just been stored."""
    content = new.content
    return upload_of(
        node.config,
        id_=new.id,
        key=new.key,
        size=len(content.data),
        name=new.name,
        facts=content.facts,
        has_thumbnail=content.thumbnail is not None,
        created_at=new.created_at,
    )


async def find(node: Node, who: Principal, upload: str) -> Row:
    """The row of an upload. Raises Refused: `not_found`, also if the user may not read it."""
    rows: Sequence[Row] = await node.db.all(SQL.readable_files, who.tenant, [upload], who.user)
    if not rows:
        raise missing()
    return rows[0]


async def find_signed(node: Node, tenant: str, upload: str) -> Row:
    """The row of an upload for a signed URL: who may read it was decided before. Raises Refused: `not_found`."""
    row: Row | None = await node.db.one(SQL.file, tenant, upload)
    if row is None:
        raise missing()
    return row


async def signed(node: Node, who: Principal, uploads: Sequence[str], now: int) -> SignedUrls:
    """URLs of those uploads that the user can read. Raises Refused: `not_found` if there are none."""
    rows = {row["id"]: row for row in await node.db.all(SQL.readable_files, who.tenant, list(uploads), who.user)}
    if not rows:
        raise missing()
    signer, blobs = node.get(UrlSigner), node.get(Blobs)
    begin, expires = signer.period(now)

    def url(upload: str, part: Part) -> str:
        stored = part_of(rows[upload], part)
        reply = Presigned(begin, expires, stored.mime, disposition_of(stored))
        return blobs.presigned(stored.key, reply) or signer.url(who.tenant, upload, part, now)

    items = [
        SignedUrl(
            upload=id_,
            url=url(id_, Part.FILE),
            thumbnail=None if rows[id_]["thumbnail_size"] is None else url(id_, Part.THUMBNAIL),
        )
        for id_ in dict.fromkeys(uploads)
        if id_ in rows
    ]
    return SignedUrls(items, expires)


def part_of(row: Row, part: Part) -> Stored:
    return file_of(row) if part is Part.FILE else thumbnail_of(row)


def disposition_of(stored: Stored) -> str:
    return disposition("inline" if stored.mime in INLINE else "attachment", stored.name, stored.mime)


def file_of(row: Row) -> Stored:
    """The file of an upload."""
    return Stored(row["key"], row["mime"], row["size"], row["sha256"], row["name"])


def thumbnail_of(row: Row) -> Stored:
    """The thumbnail of an upload. Raises Refused: `not_found`."""
    if row["thumbnail_size"] is None:
        raise Refused("not_found", "this upload has no thumbnail")
    key, sha256 = thumbnail_key(row["key"]), f"{row['sha256']}-thumbnail"
    return Stored(key, "image/webp", row["thumbnail_size"], sha256, row["name"])


def upload_from(node: Node, row: Row) -> Upload:
    """The description of an upload, from its row."""
    facts = Facts(**{name: row[name] for name in ("mime", "width", "height", "duration_ms", "placeholder", "waveform")})
    return upload_of(
        node.config,
        id_=row["id"],
        key=row["key"],
        size=row["size"],
        name=row["name"],
        facts=facts,
        has_thumbnail=row["thumbnail_size"] is not None,
        created_at=row["created_at"],
    )


def missing() -> Refused:
    return Refused("not_found", "no such upload")


async def remove(node: Node, who: Principal, upload: str, now: int) -> bool:
    """Remove a file for all users, on request of its owner; evidence keeps its bytes. Returns whether it was the avatar
    of the owner. Raises Refused: `not_found`.
    """
    until = now + round(node.config.get(RemovalSettings).keep_removed * 1000)
    row = await node.db.one(SQL.mark_deleted, who.tenant, upload, who.user, now, until)
    if row is None:
        raise missing()
    try:
        if not row["is_evidence"]:
            await erase(node, who.tenant, upload, row["key"])
    except Refused:
        LOG.warning(
            "the file of a removed upload could not be deleted; the sweep tries again", extra={"upload": upload}
        )
    return bool(row["is_avatar"])


async def erase(node: Node, tenant: str, upload: str, key: str) -> None:
    """Delete the bytes of an upload that is marked as removed. It may be repeated."""
    await delete_bytes(node.get(Blobs), key)
    await node.db.run(SQL.set_bytes_deleted, tenant, upload)


async def delete_bytes(blobs: Blobs, key: str) -> None:
    """Delete a file and its thumbnail, of which any may be missing; a key that chatd has not made names no file.

    Raises Refused: `unavailable`.
    """
    await blobs.delete(thumbnail_key(key))
    with suppress(NoKey):
        await blobs.delete(key)
