"""Uploads in parts (tus 1.0.0): how they begin, go on anywhere, end, and what is refused."""

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chatd.client import sign_up
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.db.postgres import Postgres, open_postgres
from chatd.uploads.blobs import Blobs
from chatd.uploads.open import open_blobs
from chatd.uploads.resumable.protocol import MAX_METADATA, checksum_of, metadata_of, whole_number
from chatd.uploads.resumable.receiver import PART_BYTES
from chatd.uploads.resumable.service import LIFETIME_MS, MAX_OPEN_PER_USER, sweep
from chatd.uploads.settings import UploadSettings
from tests.files import fetched, picture, stored
from tests.support import PATIENCE, Answer, Daemon, running, shared
from tests.uploads.conftest import BUCKET

daemon = shared
BODY = "application/offset+octet-stream"
BIG = bytes(range(256)) * (PART_BYTES // 256 * 2 + 100)


async def tus(
    daemon: Daemon, method: str, path: str, token: str | None, body: bytes | None = None, **headers: str
) -> Answer:
    """A request; `headers` of None are left out."""
    fields = {"Tus_Resumable": "1.0.0", **({"Content_Type": BODY} if body is not None else {}), **headers}
    return await daemon.rest(
        method, path, body, token, **{name: value for name, value in fields.items() if value is not None}
    )


async def begun(daemon: Daemon, token: str, length: int, **headers: str) -> str:
    """The path of a new upload."""
    answer = await tus(daemon, "POST", "/v1/uploads/tus", token, None, Upload_Length=str(length), **headers)
    assert (answer.status, answer.headers["upload-offset"]) == (201, "0"), answer.body
    assert answer.headers["location"].startswith(f"{daemon.addresses.http}/v1/uploads/tus/")
    return answer.headers["location"].removeprefix(daemon.addresses.http)


async def patched(daemon: Daemon, token: str | None, path: str, offset: int, body: bytes, **headers: str) -> Answer:
    return await tus(daemon, "PATCH", path, token, body, Upload_Offset=str(offset), **headers)


async def offset_of(daemon: Daemon, token: str, path: str) -> int:
    answer = await tus(daemon, "HEAD", path, token)
    assert answer.status == 200
    return int(answer.headers["upload-offset"])


def metadata(**pairs: str) -> str:
    return ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in pairs.items())


def id_in(path: str) -> str:
    return path.rpartition("/")[2]


def blobs_of(config: Config) -> list[Path]:
    return [path for path in (Path(config.data.dir) / "uploads").rglob("*") if len(path.name) == 40]


async def test_options_describe_the_server(daemon: Daemon) -> None:
    answer = await daemon.rest("OPTIONS", "/v1/uploads/tus")
    assert answer.status == 204
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["tus-max-size"] == str(UploadSettings().max_bytes)
    assert answer.headers["tus-extension"] == "creation,creation-with-upload,expiration,termination,checksum"
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"


async def test_file_in_three_parts_becomes_an_upload(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    token, data = account.access_token, picture("PNG", (800, 600))
    given = metadata(filename="Ängste.png", filetype="image/png")
    path = await begun(daemon, token, len(data), Upload_Metadata=given)
    head = await tus(daemon, "HEAD", path, token)
    assert (head.headers["upload-length"], head.headers["upload-metadata"]) == (str(len(data)), given)
    assert head.headers["cache-control"] == "no-store"
    at = 0
    for end in (100, len(data) - 1, len(data)):
        assert await offset_of(daemon, token, path) == at
        assert (await daemon.rest("GET", f"/v1/uploads/{id_in(path)}/info", None, token)).status == 404
        answer = await patched(daemon, token, path, at, data[at:end])
        assert (answer.status, answer.headers["upload-offset"]) == (204, str(end))
        assert answer.headers["upload-expires"].endswith("GMT")
        at = end
    info = (await daemon.rest("GET", f"/v1/uploads/{id_in(path)}/info", None, token)).body
    assert (info["id"], info["mime"], info["width"], info["name"]) == (id_in(path), "image/png", 800, "Ängste.png")
    assert info["thumbnail"]
    assert len((await fetched(daemon, token, id_in(path))).body) == info["size"]
    assert await offset_of(daemon, token, path) == len(data), "a client that missed the last answer asks again"
    again = await patched(daemon, token, path, len(data), b"")
    assert (again.status, again.headers["upload-offset"]) == (204, str(len(data)))
    assert (await tus(daemon, "DELETE", path, token)).status == 409


async def test_empty_and_small_files_are_created_at_once(daemon: Daemon) -> None:
    token = (await sign_up(daemon.addresses.http)).access_token
    for data in (b"", b"small"):
        body = data or None
        answer = await tus(daemon, "POST", "/v1/uploads/tus", token, body, Upload_Length=str(len(data)))
        assert (answer.status, answer.headers["upload-offset"]) == (201, str(len(data)))
        assert (await fetched(daemon, token, id_in(answer.headers["location"]))).body == data
    part = await tus(daemon, "POST", "/v1/uploads/tus", token, b"sm", Upload_Length="5")
    path = part.headers["location"].removeprefix(daemon.addresses.http)
    assert await offset_of(daemon, token, path) == 2


@pytest.mark.parametrize("store", ["folder", "bucket"])
async def test_large_file_goes_on_at_another_node(config: Config, store: str, request: pytest.FixtureRequest) -> None:
    """The parts are in the store, and nothing but the file remains there."""
    if store == "bucket":
        config = config.using(replace(BUCKET, s3_endpoint=request.getfixturevalue("s3_endpoint")))
    async with running(config) as one, running(config) as other:
        token = (await sign_up(one.addresses.http)).access_token
        path = await begun(one, token, len(BIG))
        middle = PART_BYTES + 1000
        assert (await patched(one, token, path, 0, BIG[:middle])).status == 204
        assert await offset_of(other, token, path) == middle
        assert (await patched(other, token, path, middle, BIG[middle:])).status == 204
        got = await fetched(one, token, id_in(path))
        assert hashlib.sha256(got.body).digest() == hashlib.sha256(BIG).digest()
        if store == "folder":
            assert len(blobs_of(config)) == 1


async def test_what_arrived_of_a_request_that_broke_off_counts(daemon: Daemon) -> None:
    token = (await sign_up(daemon.addresses.http)).access_token
    path = await begun(daemon, token, len(BIG))
    host, _, port = daemon.addresses.http.removeprefix("http://").partition(":")
    stream = await trio.open_tcp_stream(host, int(port))
    async with stream:
        head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\n"
        head += f"Content-Type: {BODY}\r\nUpload-Offset: 0\r\nContent-Length: {len(BIG)}\r\n\r\n"
        sent = PART_BYTES + 100_000
        await stream.send_all(head.encode() + BIG[:sent])
        with trio.fail_after(PATIENCE):
            while (first := await offset_of(daemon, token, path)) < PART_BYTES:
                await trio.sleep(0.05)
    with trio.fail_after(PATIENCE):
        while (at := await offset_of(daemon, token, path)) == first:
            await trio.sleep(0.05)
    assert PART_BYTES <= first < at <= sent
    assert (await patched(daemon, token, path, at, BIG[at:])).status == 204
    assert (await fetched(daemon, token, id_in(path))).body == BIG


async def test_checksums_decide_whether_a_body_counts(daemon: Daemon) -> None:
    token = (await sign_up(daemon.addresses.http)).access_token

    def checksum(name: str, data: bytes) -> str:
        return f"{name} {b64encode(hashlib.new(name, data).digest()).decode()}"

    path = await begun(daemon, token, len(BIG))
    end = PART_BYTES + 100
    wrong = await patched(daemon, token, path, 0, BIG[:end], Upload_Checksum=checksum("sha1", b"other"))
    assert (wrong.status, wrong.headers["tus-resumable"]) == (460, "1.0.0")
    assert await offset_of(daemon, token, path) == 0
    good = await patched(daemon, token, path, 0, BIG[:end], Upload_Checksum=checksum("sha1", BIG[:end]))
    assert (good.status, good.headers["upload-offset"]) == (204, str(end))
    wrong = await patched(daemon, token, path, end, BIG[end:], Upload_Checksum=checksum("sha256", b"other"))
    assert (wrong.status, await offset_of(daemon, token, path)) == (460, end)
    good = await patched(daemon, token, path, end, BIG[end:], Upload_Checksum=checksum("sha256", BIG[end:]))
    assert good.status == 204
    assert (await fetched(daemon, token, id_in(path))).body == BIG
    for text in ("md5 xx", "sha1", "sha1 *", ""):
        assert (await patched(daemon, token, path, len(BIG), b"", Upload_Checksum=text)).status in (204, 400)


async def test_two_requests_at_once_are_not_mixed(daemon: Daemon) -> None:
    """Both send all of the file. One of them makes the upload; the other one is refused, or finds it complete."""
    token = (await sign_up(daemon.addresses.http)).access_token
    for data in (b"s" * 1000, BIG):
        path, answers = await begun(daemon, token, len(data)), list[int]()

        async def send(path: str = path, data: bytes = data, answers: list[int] = answers) -> None:
            answers.append((await patched(daemon, token, path, 0, data)).status)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(send)
        assert sorted(answers)[0] == 204
        assert set(answers) <= {204, 409}
        assert answers.count(204) == 1
        assert (await fetched(daemon, token, id_in(path))).body == data


async def test_malformed_requests_are_refused(daemon: Daemon) -> None:
    token = (await sign_up(daemon.addresses.http)).access_token
    most = UploadSettings().max_bytes
    path = "/v1/uploads/tus"
    for headers, status in (
        ({}, 400), ({"Upload_Length": "-1"}, 400), ({"Upload_Length": "x"}, 400), ({"Upload_Length": "1" * 30}, 400),
        ({"Upload_Length": "1.5"}, 400), ({"Upload_Length": str(most + 1)}, 413), ({"Upload_Defer_Length": "1"}, 400),
        ({"Upload_Length": "5", "Upload_Metadata": "filename *"}, 400),
        ({"Upload_Length": "5", "Upload_Metadata": "a " + "A" * MAX_METADATA}, 400),
        ({"Upload_Length": "5", "Upload_Metadata": "a YQ==,a YQ=="}, 400),
        ({"Upload_Length": "5", "Upload_Metadata": "filename /w=="}, 400),
        ({"Upload_Length": "5", "Tus_Resumable": "0.2.2"}, 412), ({"Upload_Length": "5", "Tus_Resumable": None}, 412),
    ):  # fmt: skip
        answer = await tus(daemon, "POST", path, token, None, **headers)
        assert (answer.status, answer.headers["tus-resumable"]) == (status, "1.0.0"), headers
    one = await begun(daemon, token, 10)
    for offset, body, headers, status in (
        ("1", b"x", {}, 409), ("11", b"x", {}, 409), ("", b"x", {}, 400), ("-1", b"x", {}, 400), ("0x", b"x", {}, 400),
        ("0", b"x" * 11, {}, 400), ("0", b"x", {"Content_Type": "text/plain"}, 415), ("0", b"x", {"Tus_Resumable": "2.0"}, 412),
        ("0", b"x", {"Upload_Checksum": "md5 x"}, 400), ("0", b"x", {"Upload_Checksum": "sha1 *"}, 400),
    ):  # fmt: skip
        answer = await tus(daemon, "PATCH", one, token, body, Upload_Offset=offset, **headers)
        assert (answer.status, answer.headers["tus-resumable"]) == (status, "1.0.0"), (offset, headers)
    assert await offset_of(daemon, token, one) == 0
    for other in (f"{path}/x", f"{path}/{id_in(one)[:-1]}", f"{path}/01900000-0000-7000-8000-000000000000"):
        for method in ("HEAD", "PATCH", "DELETE"):
            assert (await tus(daemon, method, other, token, b"", Upload_Offset="0")).status == 404


async def test_uploads_of_others_look_like_none(daemon: Daemon) -> None:
    alice, bob = [(await sign_up(daemon.addresses.http)).access_token for _ in range(2)]
    path = await begun(daemon, alice, 10)
    for token, status in ((bob, 404), (None, 401), ("nonsense", 401)):
        for method in ("HEAD", "PATCH", "DELETE"):
            assert (await tus(daemon, method, path, token, b"x", Upload_Offset="0")).status == status
    assert (await tus(daemon, "POST", "/v1/uploads/tus", None, None, Upload_Length="5")).status == 401
    assert await offset_of(daemon, alice, path) == 0


async def test_terminated_upload_is_gone_with_its_parts(config: Config) -> None:
    async with running(config) as daemon:
        token = (await sign_up(daemon.addresses.http)).access_token
        path = await begun(daemon, token, len(BIG))
        await patched(daemon, token, path, 0, BIG[: PART_BYTES + 100_000])
        assert len(blobs_of(config)) == 2
        assert (await tus(daemon, "DELETE", path, token)).status == 204
        assert blobs_of(config) == []
        assert (await tus(daemon, "HEAD", path, token)).status == 404
        assert (await patched(daemon, token, path, PART_BYTES + 100_000, b"x")).status == 404
        assert (await tus(daemon, "DELETE", path, token)).status == 404


async def test_unreadable_image_ends_the_upload(config: Config) -> None:
    async with running(config) as daemon:
        token = (await sign_up(daemon.addresses.http)).access_token
        data = picture()[:-20]
        path = await begun(daemon, token, len(data))
        answer = await patched(daemon, token, path, 0, data)
        assert (answer.status, answer.body["code"]) == (400, "bad_request")
        assert (await tus(daemon, "HEAD", path, token)).status == 404
        assert blobs_of(config) == []


async def test_scanner_that_is_away_leaves_the_upload_open(config: Config, tmp_path: Path) -> None:
    """The last bytes do not count, so the client sends them again."""
    away = UploadSettings(scan=f"unix:{tmp_path}/none")
    async with running(config.using(away)) as daemon, running(config) as other:
        token = (await sign_up(daemon.addresses.http)).access_token
        path = await begun(daemon, token, len(BIG))
        assert (await patched(daemon, token, path, 0, BIG)).status == 503
        at = await offset_of(daemon, token, path)
        assert 2 * PART_BYTES <= at < len(BIG)
        assert (await patched(other, token, path, at, BIG[at:])).status == 204
        assert (await fetched(other, token, id_in(path))).body == BIG


async def test_quotas_count_unfinished_uploads(config: Config) -> None:
    async with running(config.using(UploadSettings(user_quota_bytes=1000))) as daemon:
        token = (await sign_up(daemon.addresses.http)).access_token
        first = await begun(daemon, token, 600)
        over = await tus(daemon, "POST", "/v1/uploads/tus", token, None, Upload_Length="600")
        assert (over.status, over.body["code"]) == (429, "rate_limited")
        assert (await tus(daemon, "DELETE", first, token)).status == 204
        second = await begun(daemon, token, 600)
        assert (await patched(daemon, token, second, 0, b"x" * 600)).status == 204
        await stored(daemon, token, b"y" * 400)
        assert (await tus(daemon, "POST", "/v1/uploads/tus", token, None, Upload_Length="1")).status == 429


async def test_number_of_unfinished_uploads_is_limited(config: Config) -> None:
    async with running(config.using(UploadSettings(user_per_minute=1000))) as daemon:
        account = await sign_up(daemon.addresses.http)
        made = 0
        while made < MAX_OPEN_PER_USER:
            answer = await tus(daemon, "POST", "/v1/uploads/tus", account.access_token, None, Upload_Length="1")
            if answer.status == 429:
                await trio.sleep(0.2)
            else:
                assert answer.status == 201
                made += 1
        await trio.sleep(1)
        answer = await tus(daemon, "POST", "/v1/uploads/tus", account.access_token, None, Upload_Length="1")
        assert (answer.status, answer.body["message"]) == (429, f"you have {MAX_OPEN_PER_USER} unfinished uploads")


class SweepNode:
    """The parts of a node that the sweep uses, at another time."""

    def __init__(self, db: Postgres, blobs: Blobs, ahead_ms: int) -> None:
        self.db, self._blobs, self._ahead_ms = db, blobs, ahead_ms

    def get(self, _: type[Blobs]) -> Blobs:
        return self._blobs

    def clock(self) -> int:
        return now_ms() + self._ahead_ms


@asynccontextmanager
async def later(config: Config, ahead_ms: int) -> AsyncIterator[SweepNode]:
    async with open_postgres(config.postgres.dsn, config.postgres) as db, open_blobs(config) as blobs:
        yield SweepNode(db, blobs, ahead_ms)


async def test_expired_uploads_are_swept(config: Config, loop: None) -> None:
    async with running(config) as daemon:
        token = (await sign_up(daemon.addresses.http)).access_token
        path, done = await begun(daemon, token, len(BIG)), await begun(daemon, token, 5)
        await patched(daemon, token, path, 0, BIG[: PART_BYTES + 100_000])
        await patched(daemon, token, done, 0, b"small")
        async with later(daemon.config, 0) as node:
            await sweep(node)
        assert len(blobs_of(config)) == 3
        async with later(daemon.config, LIFETIME_MS + 60_000) as node:
            await sweep(node)
            assert await node.db.value("select count(*) from resumable_uploads") == 0
            assert await node.db.value("select count(*) from upload_parts") == 0
        assert len(blobs_of(config)) == 1
        assert (await tus(daemon, "HEAD", path, token)).status == 404
        assert (await fetched(daemon, token, id_in(done))).body == b"small"


@given(st.text(max_size=300))
def test_every_header_is_read_or_refused(text: str) -> None:
    for read in (metadata_of, checksum_of, lambda text: whole_number("Upload-Offset", text)):
        try:
            read(text)
        except Refused as refused:
            assert refused.code == "bad_request"


def test_metadata_is_read() -> None:
    assert metadata_of("") == {}
    assert metadata_of("filename w4RuZ3N0ZQ==, empty,x YQ==") == {"filename": "Ängste", "empty": "", "x": "a"}
