"""What every store of uploads does: the same tests for a folder and for a bucket (moto's server in a process of its
own).
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config, Data
from chatd.core.errors import Refused
from chatd.uploads.blobs import BlobMissing, Blobs, new_key, path_of
from chatd.uploads.chunks import Chunks
from chatd.uploads.folder_store import Folder
from chatd.uploads.open import BlobsError, open_blobs
from chatd.uploads.s3_store import Bucket, new_client
from chatd.uploads.settings import UploadSettings
from tests.http.raw import served
from tests.uploads.conftest import BUCKET, client, free_port


@pytest.fixture(params=["folder", "bucket"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    uploads = UploadSettings()
    if request.param == "bucket":
        uploads = replace(BUCKET, s3_endpoint=request.getfixturevalue("s3_endpoint"))
    async with open_blobs(
        Config(
            data=Data(dir=str(tmp_path)),
        ).using(uploads)
    ) as opened:
        yield opened


async def test_stored_blob_is_readable_in_any_range(blobs: Blobs) -> None:
    key, data = new_key(), bytes(range(256)) * 1000
    await blobs.put(key, Chunks.of(data))
    assert await blobs.read(key, 0, len(data)) == data
    assert await blobs.read(key, 0, 10 * len(data)) == data
    assert await blobs.read(key, 1000, 17) == data[1000:1017]
    assert await blobs.read(key, len(data) - 5, 100) == data[-5:]


async def test_missing_blob_raises(blobs: Blobs) -> None:
    key = new_key()
    with pytest.raises(BlobMissing):
        await blobs.read(key, 0, 10)
    await blobs.put(key, Chunks.of(b""))
    with pytest.raises(BlobMissing):
        await blobs.read(key, 0, 10)
    await blobs.put(key, Chunks.of(b"12345"))
    with pytest.raises(BlobMissing):
        await blobs.read(key, 5, 10)


async def test_deletion_is_idempotent(blobs: Blobs) -> None:
    one, other = new_key(), new_key()
    await blobs.put(one, Chunks.of(b"one"))
    await blobs.put(other, Chunks.of(b"other"))
    for _ in range(2):
        await blobs.delete(one)
    with pytest.raises(BlobMissing):
        await blobs.read(one, 0, 1)
    assert await blobs.read(other, 0, 100) == b"other"


async def test_last_write_wins(blobs: Blobs) -> None:
    key = new_key()
    for data in (b"a long one", b"short"):
        await blobs.put(key, Chunks.of(data))
    assert await blobs.read(key, 0, 100) == b"short"


@pytest.mark.parametrize(
    "key", ["", "../../etc/passwd", "a" * 39, "A" * 40, "a" * 40 + "\n", "a" * 39 + "/", "deleted:x"]
)
async def test_invalid_keys_are_rejected(blobs: Blobs, key: str) -> None:
    for call in (lambda: blobs.put(key, Chunks.of(b"x")), lambda: blobs.read(key, 0, 1), lambda: blobs.delete(key)):
        with pytest.raises(ValueError, match="not a valid file key"):
            await call()


async def test_concurrent_operations_succeed(blobs: Blobs) -> None:
    keys = [new_key() for _ in range(20)]

    async def there_and_back(key: str) -> None:
        await blobs.put(key, Chunks.of(key.encode() * 100))
        assert await blobs.read(key, 0, 10_000) == key.encode() * 100
        await blobs.delete(key)

    async with trio.open_nursery() as nursery:
        for key in keys:
            nursery.start_soon(there_and_back, key)


# --- the folder alone ---------------------------------------------------------------------------------------------


async def test_folder_store_writes_atomically(tmp_path: Path) -> None:
    folder, key = Folder(tmp_path), new_key()
    await folder.put(key, Chunks.of(b"x" * 100))
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [path_of(key)]
    assert (tmp_path / path_of(key)).stat().st_mode & 0o777 == 0o600


async def test_failing_disk_is_unavailable(tmp_path: Path) -> None:
    folder, key = Folder(tmp_path), new_key()
    (tmp_path / key[:2]).touch()
    for call in (lambda: folder.put(key, Chunks.of(b"x")), lambda: folder.read(key, 0, 1), lambda: folder.delete(key)):
        with pytest.raises(Refused) as caught:
            await call()
        assert caught.value.code == "unavailable"


# --- the bucket alone ---------------------------------------------------------------------------------------------


async def test_botocore_reads_the_same_objects(s3_endpoint: str) -> None:
    key = new_key()
    async with new_client() as http:
        await Bucket(replace(BUCKET, s3_endpoint=s3_endpoint), http).put(key, Chunks.of(b"hello"))
    found = client(s3_endpoint).get_object(Bucket=BUCKET.s3_bucket, Key=path_of(key))  # type: ignore[attr-defined]
    assert found["Body"].read() == b"hello"


async def check_away(endpoint: str, message: str = "the file store is unreachable") -> None:
    async with new_client() as http:
        bucket, key = Bucket(replace(BUCKET, s3_endpoint=endpoint), http), new_key()
        for call in (
            lambda: bucket.put(key, Chunks.of(b"x")),
            lambda: bucket.read(key, 0, 1),
            lambda: bucket.delete(key),
        ):
            with pytest.raises(Refused) as caught:
                await call()
            assert (caught.value.code, caught.value.message) == ("unavailable", message)


async def test_unreachable_bucket_is_unavailable() -> None:
    await check_away(f"http://127.0.0.1:{free_port()}")


def answering(status: int, body: bytes = b"", *headers: tuple[bytes, bytes]) -> object:
    async def app(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": body, "more_body": False})  # type: ignore[operator]

    return app


@pytest.mark.parametrize("status", [301, 307, 400, 403, 500, 503])
async def test_bucket_that_refuses_or_redirects_is_unavailable(status: int, s3_endpoint: str) -> None:
    app = answering(status, b"<Error>no</Error>", (b"location", s3_endpoint.encode()))
    async with served(app) as door:  # type: ignore[arg-type]
        await check_away(f"http://{door.host}:{door.port}", "the file store is unavailable")


async def test_response_is_read_up_to_the_requested_size() -> None:
    async with served(answering(206, b"x" * 1_000_000)) as door, new_client() as http:  # type: ignore[arg-type]
        bucket = Bucket(replace(BUCKET, s3_endpoint=f"http://{door.host}:{door.port}"), http)
        assert await bucket.read(new_key(), 0, 10) == b"x" * 10


@pytest.mark.parametrize("name", ["s3_endpoint", "s3_bucket", "s3_key", "s3_secret"])
async def test_incomplete_bucket_settings_are_rejected(name: str) -> None:
    whole = replace(BUCKET, s3_endpoint="https://s3.test")
    with pytest.raises(BlobsError, match=f"uploads.{name}"):
        async with open_blobs(Config().using(replace(whole, **{name: ""}))):
            pass
