"""Files that the messages of an import name: below one folder, stored as uploads of the sender.

An upload of an import has an id that follows from its message and its place. It is stored before its message, like any
other; what a break has left of it is deleted and stored anew, because its message does not exist yet.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import Any, BinaryIO
from uuid import UUID, uuid5

import trio
from msgspec import Struct

from chatd.app.audit_log import AuditActor
from chatd.conversations.attachment_types import AttachmentInput
from chatd.conversations.entities import Json
from chatd.conversations.messages.attachments import stored_form
from chatd.core.config import Config
from chatd.core.errors import OperatorError, Refused
from chatd.core.identity import Principal
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.importing.lines import AttachmentLine, BadLine
from chatd.uploads import file_types
from chatd.uploads.blobs import Blobs
from chatd.uploads.chunks import CHUNK_BYTES, Chunks
from chatd.uploads.content import Content, content_of, examined
from chatd.uploads.file_names import label
from chatd.uploads.media.protocol import Facts
from chatd.uploads.media.workers import Examined, MediaWorkers
from chatd.uploads.open import open_blobs
from chatd.uploads.scanning import Scanner
from chatd.uploads.service import NewUpload, delete_bytes, new_upload, write
from chatd.uploads.settings import UploadSettings
from chatd.uploads.subsystem import limits_of

SQL = queries.load("importing/files")
UPLOADS = queries.load("uploads/uploads")
# Files that are read and stored at the same time.
MAX_AT_ONCE = 4


class BadFile(Exception):
    """There is no such file below the folder of an import, or it cannot be imported."""


class Source(Struct, frozen=True):
    """The folder of the files of an import; None: there is none. `max_bytes`: of one file."""

    folder: Path | None
    max_bytes: int

    def check(self, name: str, field: str) -> None:
        """Check that there is such a file. Raises BadLine."""
        try:
            self.open(name).close()
        except BadFile as error:
            raise BadLine(f"{field}: {error}") from None

    def open(self, name: str) -> BinaryIO:
        """Open a file, and check where it is after that: a link may be replaced at any time. Raises BadFile."""
        if self.folder is None:
            raise BadFile("files need the option --uploads")
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or "\0" in name:
            raise BadFile("expected a path below the folder of --uploads")
        try:
            # A pipe without a writer would wait for one.
            opened = os.open(self.folder / place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise BadFile(error.strerror or "not readable") from None
        try:
            self._check_open(self.folder, opened)
        except BaseException:
            os.close(opened)
            raise
        return open(opened, "rb")

    def _check_open(self, folder: Path, opened: int) -> None:
        state, path = os.fstat(opened), Path(os.readlink(f"/proc/self/fd/{opened}"))
        if not path.is_relative_to(folder.resolve()) or not S_ISREG(state.st_mode):
            raise BadFile("expected a file below the folder of --uploads")
        if state.st_size > self.max_bytes:
            raise BadFile(f"expected at most {self.max_bytes} bytes, see uploads.max_bytes")

    def read(self, name: str) -> Chunks:
        """The content of a file. Raises BadFile, also if it has become too large; OSError."""
        found = Chunks()
        with self.open(name) as file:
            while data := file.read(CHUNK_BYTES):
                found.append(data)
                if len(found) > self.max_bytes:
                    raise BadFile("the file has become too large")
        return found


NO_FILES = Source(None, 0)


class NamedFile(Struct, frozen=True):
    """A file of a message that does not exist yet. `upload`: its id; `owner`: the sender."""

    upload: str
    owner: str
    attachment: AttachmentLine


def upload_id_of(message: str, index: int) -> str:
    """The id of the upload of an attachment: a UUIDv5 of its index, in the namespace of the message."""
    return str(uuid5(UUID(message), f"attachment {index}"))


class FileStore:
    """Stores the files of an import. `stored`: how many."""

    def __init__(
        self, db: Postgres, actor: AuditActor, source: Source, blobs: Blobs, workers: MediaWorkers, scanner: Scanner
    ) -> None:
        self.stored = 0
        self._db = db
        self._actor = actor
        self._source = source
        self._blobs = blobs
        self._workers = workers
        self._scanner = scanner

    async def store(self, files: Sequence[NamedFile]) -> dict[str, Json]:
        """Store files. Returns the attachments by the ids of their uploads. Raises Refused, OperatorError."""
        await self._delete_interrupted([file.upload for file in files])
        found: dict[str, Json] = {}
        turns = trio.CapacityLimiter(MAX_AT_ONCE)

        async def store_one(file: NamedFile) -> None:
            async with turns:
                found[file.upload] = await self._store(file)

        async with trio.open_nursery() as nursery:
            for file in files:
                nursery.start_soon(store_one, file)
        return found

    async def _delete_interrupted(self, uploads: list[str]) -> None:
        """Delete what an import that broke off has left of these uploads."""
        for row in await self._db.all(SQL.unused, self._actor.tenant, uploads):
            await delete_bytes(self._blobs, row["key"])
        await self._db.run(SQL.delete_unused, self._actor.tenant, uploads)

    async def _store(self, file: NamedFile) -> Json:
        named = file.attachment.file
        try:
            data = await trio.to_thread.run_sync(self._source.read, named)
        except OSError as error:
            raise OperatorError(f"{named}: {error.strerror or type(error).__name__}") from error
        except BadFile as error:
            raise OperatorError(f"{named}: {error}") from None
        owner = Principal(self._actor.tenant, file.owner, "", "", "", 0)
        try:
            await self._scanner.check(data, owner)
        except Refused as refused:
            raise OperatorError(f"{named}: {refused.message}") from refused
        content = await self._content(data)
        name = label(file.attachment.name or PurePosixPath(named).name)
        new = new_upload(owner, content, name, self._actor.now, file.upload)
        await self._db.run(UPLOADS.add, *new.values())
        await write(self._blobs, new)
        self.stored += 1
        facts: dict[str, Any] = {new.id: facts_of(new)}
        return stored_form(AttachmentInput(upload=new.id), facts, "$")

    async def _content(self, data: Chunks) -> Content:
        """What is stored of a file. An image that cannot be decoded stays a file of no known type.

        Raises Refused: `unavailable`.
        """
        try:
            return await examined(self._workers, data, self._source.max_bytes)
        except Refused as refused:
            if refused.code == "unavailable":
                raise
            return await content_of(data, Examined(Facts(mime=file_types.UNKNOWN)))


@asynccontextmanager
async def open_file_store(db: Postgres, config: Config, actor: AuditActor, source: Source) -> AsyncIterator[FileStore]:
    """What stores the files of an import: where the daemon stores its uploads. Raises BlobsError, OSError."""
    settings = config.get(UploadSettings)
    workers = MediaWorkers(limits_of(settings))
    async with open_blobs(config) as blobs:
        try:
            yield FileStore(db, actor, source, blobs, workers, Scanner(settings))
        finally:
            await workers.aclose()


def facts_of(new: NewUpload) -> dict[str, Any]:
    """The row of an upload, as far as an attachment needs it."""
    facts, thumbnail = new.content.facts, new.content.thumbnail
    names = ("mime", "width", "height", "duration_ms", "placeholder", "waveform")
    return {
        **{name: getattr(facts, name) for name in names},
        "size": len(new.content.data),
        "name": new.name,
        "thumbnail_size": None if thumbnail is None else len(thumbnail),
    }
