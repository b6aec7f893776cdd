"""Uploads a file over HTTP. `message.send` takes the result as an attachment."""

import os
import secrets
from pathlib import Path

import trio

from chatd.client.account import Account, post_blocking
from chatd.client.resumable import PartsUpload, Progress, opened
from chatd.client.types import Upload
from chatd.client.wire_base import typed
from chatd.core.errors import Refused

# Seconds that a step of it may take.
TIMEOUT = 60.0
File = bytes | str | os.PathLike[str]


async def upload(
    account: Account,
    file: File,
    mime: str = "application/octet-stream",
    name: str | None = None,
    progress: Progress | None = None,
) -> Upload:
    """Upload a file. Returns the server's description of it: `id`, `url`, `mime`, `size`, ... `file` is a path or
    bytes.

    `mime` is a hint; the server detects the type. With `progress` the file is read and sent in parts, the upload goes
    on after a break, and `progress(sent, total)` is called for each part. Raises Refused, OSError.
    """
    if progress is not None:
        return await upload_in_parts(account, file, name, progress)
    if not isinstance(file, bytes):
        name = name or Path(file).name
        file = await trio.Path(file).read_bytes()
    kind, body = form(file, mime, name)
    token = account.access_token
    try:
        return await send(account.http, kind, body, token)
    except Refused as refused:
        if refused.code != "unauthenticated":
            raise
    return await send(account.http, kind, body, await account.refresh(token))


async def upload_in_parts(account: Account, file: File, name: str | None, progress: Progress) -> Upload:
    if not isinstance(file, bytes):
        name = name or Path(file).name
    with await trio.to_thread.run_sync(opened, file) as source:
        length = await trio.to_thread.run_sync(source.seek, 0, os.SEEK_END)
        return await PartsUpload(account, source, length, name, progress).run()


async def send(http: str, kind: str, body: bytes, token: str) -> Upload:
    headers = {"Content-Type": kind, "Authorization": f"Bearer {token}"}

    def work() -> Upload:
        stored: Upload = typed(
            post_blocking(f"{http.rstrip('/')}/v1/uploads", body, headers, TIMEOUT), {"upload": Upload}
        )
        return stored

    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


def form(data: bytes, mime: str, name: str | None) -> tuple[str, bytes]:
    """The type and the bytes of a form with one file (RFC 7578; a name is escaped as browsers do it)."""
    boundary = secrets.token_hex(16)
    escaped = "".join({'"': "%22", "\r": "%0D", "\n": "%0A"}.get(character, character) for character in name or "file")
    kind = "".join(character for character in mime if character.isprintable() and character.isascii())
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
        f'filename="{escaped}"\r\nContent-Type: {kind}\r\n\r\n'
    )
    return f"multipart/form-data; boundary={boundary}", head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
