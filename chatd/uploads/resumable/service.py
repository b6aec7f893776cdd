"""Uploads in parts: created, continued on any node, finished, terminated and swept.

What is received is in the store, and Postgres says how much: a node that dies loses only the bytes that it had not
acknowledged. Of two requests that continue an upload at once, one wins.

The last bytes count in the transaction that makes the upload visible. If the file cannot be finished now (the scanner
is away, say), the client sends these bytes again.
"""

from contextlib import suppress

from chatd.app.command_texts import stored_text
from chatd.app.context import Node
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import uuid7
from chatd.core.turns import in_turns
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Row, Tx
from chatd.http.slots import Owner
from chatd.uploads import service
from chatd.uploads.admission import Slot, UploadSlots
from chatd.uploads.blobs import BlobMissing, Blobs, thumbnail_key
from chatd.uploads.chunks import Chunks
from chatd.uploads.content import prepared
from chatd.uploads.file_names import label
from chatd.uploads.quotas import DAY_MS, Payer
from chatd.uploads.resumable.entities import Resumable
from chatd.uploads.resumable.protocol import metadata_of
from chatd.uploads.resumable.receiver import MAX_SMALL_PARTS, PART_BYTES, Part, Receiver, delete_blobs, overtaken
from chatd.uploads.service import NewUpload
from chatd.wire.texts import TextKind

SQL = queries.load("uploads/resumable")
UPLOADS = queries.load("uploads/uploads")
MAX_OPEN_PER_USER = 100
LIFETIME_MS = DAY_MS
# Uploads in one run of the sweep.
SWEEP_PAGE = 200
NAME_KEYS = ("filename", "name")


async def create(node: Node, who: Principal, payer: Payer, length: int, metadata: str, now: int) -> Resumable:
    """Begin an upload. Raises Refused: `bad_request`, `rate_limited`."""
    await name_of(node, who, metadata)
    upload = Resumable(who.tenant, uuid7(now), length, 0, metadata, False, now + LIFETIME_MS)
    await node.db.in_transaction(insert, who, payer, upload, now)
    return upload


async def insert(tx: Tx, who: Principal, payer: Payer, upload: Resumable, now: int) -> None:
    """Insert the row if all of the file fits into the quotas."""
    await payer.lock(tx.run)
    if await tx.value(SQL.count_open, who.tenant, who.user, MAX_OPEN_PER_USER) >= MAX_OPEN_PER_USER:
        raise Refused("rate_limited", f"you have {MAX_OPEN_PER_USER} unfinished uploads", retry_after=60)
    await payer.charge(tx.run, upload.length, now)
    row = (upload.tenant, upload.id, who.user, upload.length, upload.metadata, now, upload.expires_at)
    await tx.run(SQL.add, *row)
    await payer.check(tx.one, 0, now)


async def find(node: Node, who: Principal, upload: str) -> Resumable:
    """An upload of the user. Raises Refused: `not_found`, also if it has ended or expired."""
    row = await node.db.one(SQL.find, who.tenant, upload, who.user, node.clock())
    if row is None:
        raise service.missing()
    return Resumable.of(who.tenant, row)


async def name_of(node: Node, who: Principal, metadata: str) -> str | None:
    """The name of the file. Raises Refused: `bad_request`, and `forbidden` for an unwanted one."""
    pairs = metadata_of(metadata)
    name = label(next((pairs[key] for key in NAME_KEYS if key in pairs), None))
    if name is None:
        return None
    return await in_turns(stored_text(node, who.tenant, TextKind.NAME, name, "Upload-Metadata"))


async def complete(
    node: Node, who: Principal, payer: Payer, owner: Owner, slot: Slot, upload: Resumable, receiver: Receiver
) -> None:
    """Make an upload of the parts and of the bytes that have just arrived.

    Raises Refused: `bad_request`, `too_large` (then the upload has ended), `conflict`, `rate_limited`, `unavailable`.
    """
    data = await assembled(node, slot, upload, receiver)
    try:
        async with node.get(UploadSlots).decoding(owner):
            content = await prepared(node, who, data)
    except Refused as refused:
        if refused.code in ("bad_request", "too_large"):
            # The same bytes would be refused again.
            await terminate(node, who, upload.id)
        raise
    name = await name_of(node, who, upload.metadata)
    new = service.new_upload(who, content, name, node.clock(), upload.id)
    keys = [new.key, thumbnail_key(new.key)]
    most = upload.length // PART_BYTES + 2 * MAX_SMALL_PARTS
    if not await node.db.all(SQL.reserve_parts, upload.tenant, upload.id, keys, [0, 0], most):
        raise Refused("conflict", "the upload has ended")
    try:
        await service.write(node.get(Blobs), new)
        await node.db.in_transaction(finish, payer, new, upload, receiver.received)
    except Refused:
        with suppress(Refused):
            await delete_blobs(node, keys)
        raise
    with suppress(Refused):
        await delete_closed(node, upload.tenant, upload.id)


async def assembled(node: Node, slot: Slot, upload: Resumable, receiver: Receiver) -> Chunks:
    """The whole file. Raises Refused."""
    rows = await node.db.all(SQL.parts, upload.tenant, upload.id)
    slot.reserve_bytes(upload.length - len(receiver.tail))
    file = Chunks()
    try:
        for part in [*(Part(row["key"], row["size"], row["start"]) for row in rows), *receiver.pending]:
            if part.start != len(file):
                raise overtaken()
            file.append(await node.get(Blobs).read(part.key, 0, part.size))
    except BlobMissing:
        raise Refused("not_found", "a part of the file is missing; upload it again") from None
    for chunk in receiver.tail:
        file.append(chunk)
    if len(file) != upload.length:
        raise overtaken()
    return file


async def finish(tx: Tx, payer: Payer, new: NewUpload, upload: Resumable, received: int) -> None:
    """Make the upload visible, if no other request has, and if it fits into the quotas."""
    await payer.lock(tx.run)
    if await tx.one(SQL.finish, upload.tenant, upload.id, received) is None:
        raise overtaken()
    # The length was charged at the beginning; an image that was re-encoded has another size.
    await payer.charge(tx.run, len(new.content.data) - upload.length, new.created_at)
    await tx.run(UPLOADS.add, *new.values())
    await tx.run(SQL.release, [new.key, thumbnail_key(new.key)])
    await payer.check(tx.one, 0, new.created_at)


async def terminate(node: Node, who: Principal, upload: str) -> None:
    """End an upload and delete its parts; the sweep repeats what fails. Raises Refused: `not_found`."""
    if await node.db.one(SQL.terminate, who.tenant, upload, who.user) is None:
        raise service.missing()
    with suppress(Refused):
        await delete_closed(node, who.tenant, upload)


async def delete_closed(node: Node, tenant: str, upload: str) -> None:
    """Delete the parts of an upload that has ended. Raises Refused: `unavailable`."""
    rows = await node.db.all(SQL.closed_parts, tenant, upload)
    await delete_blobs(node, [row["key"] for row in rows])
    await node.db.run(SQL.swept, tenant, upload)


async def sweep(node: Node) -> bool:
    """End uploads whose time is over, delete parts that nothing needs, and delete the rows of a day ago."""
    now = node.clock()
    rows: list[Row] = await node.db.all(SQL.page_for_sweep, now, SWEEP_PAGE)
    for row in rows:
        await node.db.run(SQL.expire, row["tenant"], row["id"], now)
        await delete_closed(node, row["tenant"], row["id"])
    if rows:
        ids = [(row["tenant"], row["id"]) for row in rows]
        await node.db.run(SQL.delete_old_rows, *to_unnest_arrays(ids, 2), now)
    return len(rows) == SWEEP_PAGE
