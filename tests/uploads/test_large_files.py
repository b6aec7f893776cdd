"""Files of any size do not block the event loop: no step copies, joins, hashes or encrypts a whole file."""

from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from chatd.core.config import Config
from chatd.uploads.chunks import CHUNK_BYTES, Chunks
from chatd.uploads.settings import UploadSettings
from tests.abuse.test_event_loop import no_collections
from tests.abuse.test_large_answers import Measured
from tests.files import MP4, PDF, stored
from tests.support import Daemon, running
from tests.uploads.conftest import BUCKET
from tests.uploads.test_resumable import begun, patched
from tests.uploads.test_scanning import scanner_at

__all__ = ["no_collections"]
# One copy takes more than twice the limit.
SIZE = 40_000_000


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("store", ["folder", "bucket"])
async def test_large_files_do_not_hold_the_event_loop(
    config: Config, tmp_path: Path, request: pytest.FixtureRequest, store: str
) -> None:
    settings = UploadSettings()
    if store == "bucket":
        settings = replace(BUCKET, s3_endpoint=request.getfixturevalue("s3_endpoint"))
    async with scanner_at(tmp_path / "clamd", max_stream=SIZE) as address:
        settings = replace(settings, max_bytes=2 * SIZE, user_quota_bytes=20 * SIZE, scan=address)
        async with running(config.using(settings)) as daemon, daemon.person() as person:
            token, measured = person.account.access_token, Measured()
            file, film = PDF + bytes(SIZE - len(PDF)), MP4 + bytes(SIZE - len(MP4))
            await measured.check("form", partial(stored, daemon, token, file))
            await measured.check("parts", partial(sent_in_parts, daemon, token, film))
            assert measured.slow == []


async def sent_in_parts(daemon: Daemon, token: str, data: bytes) -> None:
    path, half = await begun(daemon, token, len(data)), len(data) // 2
    for start, piece in ((0, data[:half]), (half, data[half:])):
        assert (await patched(daemon, token, path, start, piece)).status == 204


def test_chunks_are_the_bytes_that_were_added() -> None:
    """However they arrive, in chunks of one size: small pieces do not cost more memory than large ones."""
    data = bytes(range(256)) * (CHUNK_BYTES // 100)
    for size in (1000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, len(data)):
        chunks = Chunks()
        for start in range(0, len(data), size):
            chunks.append(data[start : start + size])
        assert b"".join(chunks) == data
        assert len(chunks) == len(data)
        assert {len(chunk) for chunk in list(chunks)[:-1]} == {CHUNK_BYTES}
    assert (list(Chunks()), Chunks().first, len(Chunks.of(b""))) == ([], b"", 0)
