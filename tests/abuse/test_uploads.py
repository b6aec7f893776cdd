"""Harmful uploads. After each test other users are still served."""

import struct
import zlib
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from PIL import Image

from chatd.client import Account, sign_up
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.uploads.settings import UploadSettings
from tests.files import FORM, PDF, fetched, film, form, part, picture, stored, upload
from tests.http.raw import HttpPort
from tests.support import NOBODY, PATIENCE, Answer, Daemon, poll_until, running, shared
from tests.uploads.test_commands import files

daemon = shared

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.fixture
def before(daemon: Daemon) -> set[Path]:
    """The files of earlier tests."""
    return set(files(daemon))


@pytest.fixture
async def alice(daemon: Daemon) -> AsyncIterator[Account]:
    """A user with an account; afterwards two other users still reach each other."""
    yield await sign_up(daemon.addresses.http)
    async with daemon.pair() as (one, other, conversation):
        await one.send(conversation, "still there?")
        assert (await other.event("message.new"))["message"]["text"] == "still there?"


# --- content that a browser would execute -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.svg", SVG),
        ("a.png", HTML),
        ("a.html", HTML),
        ("a.xml", b'<?xml version="1.0"?><x/>'),
        ("a.gif", b"\xef\xbb\xbf" + HTML),
        ("a.js", b"alert(1)"),
        ("a.swf", b"FWS\x05" + b"x" * 50),
        ("a.webm", b"\x1a\x45\xdf\xa3" + HTML),
    ],
)
async def test_executable_content_is_only_downloaded(daemon: Daemon, alice: Account, name: str, data: bytes) -> None:
    body = form(part(data, name, headers=b"Content-Type: text/html\r\n"))
    answer = await daemon.rest("POST", "/v1/uploads", body, alice.access_token, Content_Type=FORM)
    assert answer.body["mime"] == "application/octet-stream"
    got = await fetched(daemon, alice.access_token, answer.body["id"])
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"].startswith("attachment;")
    check_headers(got)


def check_headers(got: Answer) -> None:
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert got.headers["cache-control"].startswith("private")
    assert got.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in got.headers


@pytest.mark.parametrize("brand", [b"heic", b"avif"])
async def test_markup_that_begins_as_an_image_is_refused(daemon: Daemon, alice: Account, brand: bytes) -> None:
    body = form(part(b"\x00\x00\x00\x18ftyp" + brand + HTML, "a.jpg"))
    answer = await daemon.rest("POST", "/v1/uploads", body, alice.access_token, Content_Type=FORM)
    assert (answer.status, answer.body["code"]) == (400, "bad_request")


async def test_an_image_with_markup_loses_the_markup(daemon: Daemon, alice: Account) -> None:
    gif = picture("GIF", comment=HTML)
    polyglots = [
        gif,
        picture("GIF") + HTML,
        b"GIF89a" + picture("GIF")[6:-1] + b"\x21\xfe" + bytes([len(HTML)]) + HTML + b"\x00;",
        picture("JPEG", comment=HTML),
        picture("JPEG") + HTML,
        picture("PNG") + HTML,
        with_chunk(picture("PNG"), b"tEXt", b"Comment\x00" + HTML),
        picture("WEBP", xmp=HTML),
    ]
    for data in polyglots:
        assert b"<script>" in data
        answer = await stored(daemon, alice.access_token, data)
        got = await fetched(daemon, alice.access_token, answer["id"])
        assert b"<script>" not in got.body
        assert got.headers["content-type"].startswith("image/")
        check_headers(got)


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    return png[:33] + chunk(kind, data) + png[33:]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# --- pixels -------------------------------------------------------------------------------------------------------


def hollow_png(width: int, height: int) -> bytes:
    """A valid image of one colour, made without its pixels in memory."""
    row = zlib.compressobj(9)
    line = b"\x00" * (width // 8 + 2)
    data = b"".join(row.compress(line[: 1 + (width + 7) // 8]) for _ in range(height)) + row.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(12_000, 9_000), (20_000, 10_000), (5_001, 5_000), (2**31 - 1, 2**31 - 1)])
async def test_too_many_pixels_are_refused_by_the_header(
    daemon: Daemon, alice: Account, before: set[Path], size: tuple[int, int]
) -> None:
    data = (
        hollow_png(*size)
        if size[0] < 2**20
        else hollow_png(8, 8)[:16] + struct.pack(">II", *size) + hollow_png(8, 8)[24:]
    )
    assert len(data) < 40_000
    answer = await upload(daemon, alice.access_token, data)
    assert (answer.status, answer.body["code"]) == (413, "too_large")
    assert "pixels" in answer.body["message"]
    assert set(files(daemon)) == before


async def test_an_image_at_the_pixel_limit_is_accepted(config: Config) -> None:
    async with running(config.using(replace(config.get(UploadSettings), max_pixels=1200))) as daemon:
        account = await sign_up(daemon.addresses.http)
        assert (await upload(daemon, account.access_token, picture("PNG", (40, 30)))).status == 200
        for kind in ("PNG", "JPEG", "GIF", "WEBP"):
            assert (await upload(daemon, account.access_token, picture(kind, (41, 30)))).status == 413


# --- names --------------------------------------------------------------------------------------------------------

NAMES = {
    "../../etc/passwd": "passwd",
    "..\\\\..\\\\boot.ini": "boot.ini",
    "/etc/shadow": "shadow",
    "a\x00b.png": "ab.png",
    "x" * 300: "x" * 200,
    "photo\u202egpj.exe": "photogpj.exe",
    "con": "con",
    "..": None,
    "   ": None,
    "\u200b\u200e": None,
    "a'b%0d%0aSet-Cookie: x=1;c": "a'b%0d%0aSet-Cookie: x=1;c",
    "😀.png": "😀.png",
}


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_name_is_only_a_label(daemon: Daemon, alice: Account, before: set[Path], name: str) -> None:
    answer = await stored(daemon, alice.access_token, PDF, name)
    assert answer["name"] == NAMES[name]
    (path,) = set(files(daemon)) - before
    assert path.name == answer["key"]
    got = await fetched(daemon, alice.access_token, answer["id"])
    assert got.body == PDF
    assert "set-cookie" not in got.headers
    assert got.headers["content-disposition"].isascii()


async def test_a_file_name_cannot_inject_headers(daemon: Daemon, alice: Account) -> None:
    for name in (b'x"\r\nX-Evil: 1', b"x\r\n\r\n<script>", b"\xff\xfe.png", b"x\ry"):
        body = (
            b'--boundary\r\nContent-Disposition: form-data; name="file"; filename="'
            + name
            + b'"\r\n\r\nabc\r\n--boundary--\r\n'
        )
        answer = await daemon.rest("POST", "/v1/uploads", body, alice.access_token, Content_Type=FORM)
        assert answer.status in (200, 400)
        if answer.status == 200:
            got = await fetched(daemon, alice.access_token, answer.body["id"])
            assert "x-evil" not in got.headers
            check_headers(got)


# --- endless and slow bodies --------------------------------------------------------------------------------------


def head_of(account: Account, *lines: str) -> bytes:
    fields = (
        "POST /v1/uploads HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {account.access_token}",
        f"Content-Type: {FORM}",
    )
    return "\r\n".join([*fields, *lines, "", ""]).encode()


SMALL = 200_000


@pytest.fixture
async def narrow(config: Config) -> AsyncIterator[Daemon]:
    """Files of at most 200 KB."""
    async with running(config.using(replace(config.get(UploadSettings), max_bytes=SMALL))) as daemon:
        yield daemon


@pytest.fixture
async def hasty(config: Config) -> AsyncIterator[Daemon]:
    """Files within a second."""
    async with running(config.using(replace(config.get(UploadSettings), timeout=1.0))) as daemon:
        yield daemon


async def test_a_declared_length_over_the_limit_is_refused_at_once(narrow: Daemon) -> None:
    account = await sign_up(narrow.addresses.http)
    answer = Answer.read(await HttpPort.of(narrow).send(head_of(account, "Content-Length: 100000000000")))
    assert (answer.status, answer.body["code"]) == (413, "too_large")


async def test_an_endless_body_is_refused_at_the_limit(narrow: Daemon) -> None:
    account = await sign_up(narrow.addresses.http)
    sent = 0
    async with HttpPort.of(narrow).connected() as stream:
        await stream.send_all(head_of(account, "Transfer-Encoding: chunked", "Connection: close"))
        await stream.send_all(chunked(part(b"")[:-2]))
        got = b""
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:

                async def go_on() -> None:
                    nonlocal sent
                    try:
                        while sent < 50_000_000:
                            await stream.send_all(chunked(b"x" * 10_000))
                            sent += 10_000
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        pass

                nursery.start_soon(go_on)
                while not Answer.is_whole(got):
                    data = await stream.receive_some()
                    assert data
                    got += data
                nursery.cancel_scope.cancel()
    assert Answer.read(got).status == 413
    assert sent < 50_000_000
    assert files(narrow) == []


def chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def test_a_body_of_another_length_than_declared_is_refused(hasty: Daemon) -> None:
    account = await sign_up(hasty.addresses.http)
    body = form(part(PDF))
    short = await HttpPort.of(hasty).send(
        head_of(account, f"Content-Length: {len(body) - 40}", "Connection: close") + body
    )
    assert Answer.read(short).status == 400
    async with HttpPort.of(hasty).connected() as stream:
        await stream.send_all(head_of(account, f"Content-Length: {len(body) + 40}") + body)
        with trio.fail_after(PATIENCE):
            answer = await Answer.receive(stream)
    assert (answer.status, answer.body["code"]) == (408, "timeout")
    assert files(hasty) == []


async def test_a_slow_upload_ends_at_the_timeout(hasty: Daemon) -> None:
    account = await sign_up(hasty.addresses.http)
    async with HttpPort.of(hasty).connected() as stream, trio.open_nursery() as nursery:
        await stream.send_all(head_of(account, "Content-Length: 5000"))

        async def drip() -> None:
            try:
                for byte in form(part(PDF)):
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.05)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        nursery.start_soon(drip)
        with trio.fail_after(PATIENCE):
            answer = await Answer.receive(stream)
        assert (answer.status, answer.body["code"]) == (408, "timeout")
        nursery.cancel_scope.cancel()


async def test_an_aborted_upload_leaves_nothing(narrow: Daemon) -> None:
    account = await sign_up(narrow.addresses.http)
    for _ in range(30):
        async with HttpPort.of(narrow).connected() as stream:
            await stream.send_all(head_of(account, "Content-Length: 5000") + part(b"x" * 100))
    assert (await upload(narrow, account.access_token, PDF)).status in (200, 429)
    await poll_until(
        lambda: upload(narrow, account.access_token, PDF),
        lambda answer: "at a time" not in answer.body.get("message", ""),
    )


# --- forms --------------------------------------------------------------------------------------------------------

FORMS = {
    "ten thousand parts": form(*[part(b"", field="file")] * 10_000),
    "ten thousand fields": form(*[part(b"x", None, f"f{number}") for number in range(10_000)]),
    "a header of a megabyte": form(part(b"x", headers=b"X: " + b"y" * 2**20 + b"\r\n")),
    "a megabyte of headers": form(part(b"x", headers=b"X: y\r\n" * 150_000)),
    "a huge field that is no file": form(part(b"x" * 2**21, None, "comment")),
    "a megabyte before the first part": b"x" * 2**20 + form(part(b"x")),
    "a megabyte behind the last part": form(part(b"x")) + b"x" * 2**20,
    "two files": form(part(b"x"), part(b"y")),
    "a file and an image": form(part(b"x"), part(b"y", field="image")),
    "no file": form(),
    "no end": part(b"x" * 100),
    "only a boundary": b"--boundary\r\n",
    "no name": b"--boundary\r\nContent-Disposition: form-data\r\n\r\nx\r\n--boundary--\r\n",
    "no disposition": b"--boundary\r\nX: y\r\n\r\nx\r\n--boundary--\r\n",
    "headers that are no text": b"--boundary\r\nContent-Disposition: form-data; name=\xff\r\n\r\nx\r\n--boundary--\r\n",
    "nothing": b"",
    "line ends without end": b"\r\n" * 500_000,
    "returns without end": b"\r" * 1_000_000,
}


@pytest.mark.parametrize("name", FORMS)
async def test_forms_are_bounded(daemon: Daemon, alice: Account, before: set[Path], name: str) -> None:
    answer = await daemon.rest("POST", "/v1/uploads", FORMS[name], alice.access_token, Content_Type=FORM)
    assert answer.status in (400, 413)
    assert answer.body["code"] in ("bad_request", "too_large")
    assert set(files(daemon)) == before


async def test_files_of_line_ends_and_boundaries_are_stored(daemon: Daemon, alice: Account) -> None:
    for data in (b"\r" * 2_000_000, b"\n" * 2_000_000, b"\r\n--boundar" * 100_000, b"\r\n--boundaryx" * 100_000):
        answer = await stored(daemon, alice.access_token, data)
        assert answer["size"] == len(data)


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/mixed; boundary=boundary",
    ],
)
async def test_bodies_that_are_not_forms_are_refused(daemon: Daemon, alice: Account, kind: str) -> None:
    answer = await daemon.rest("POST", "/v1/uploads", form(part(b"x")), alice.access_token, Content_Type=kind)
    assert (answer.status, answer.body["code"]) == (400, "bad_request")


# --- images that are expensive to decode --------------------------------------------------------------------------


def many_frames(count: int) -> bytes:
    """A GIF with this many frames of one pixel."""
    frame = b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
    return b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + b"\x00" * 6 + frame * count + b";"


def many_scans(count: int) -> bytes:
    """A progressive JPEG that repeats its last scan."""
    data = picture("JPEG", (64, 64), progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def bomb(megabytes: int) -> bytes:
    """This many megabytes of zeros, compressed: the same block again and again."""
    zeros = zlib.compressobj(9)
    first = zeros.compress(bytes(1_000_000)) + zeros.flush(zlib.Z_FULL_FLUSH)
    again = zeros.compress(bytes(1_000_000)) + zeros.flush(zlib.Z_FULL_FLUSH)
    checksum = (megabytes * 1_000_000 % 65521 << 16 | 1).to_bytes(4, "big")
    return first + again * (megabytes - 1) + zeros.flush()[:-4] + checksum


BOMB = bomb(200)
HARD = {
    "ten thousand frames": many_frames(10_000),
    "a hundred thousand blocks": many_frames(1)[:-1] + b"\x21\xfe" + b"\x01x" * 150_000 + b"\x00;",
    "a frame larger than the screen": many_frames(1)[:-1]
    + b"\x2c\xff\xff\xff\xff\xff\xff\xff\xff\x00\x02\x02\x44\x01\x00;",
    "a thousand passes": many_scans(1000),
    "a million chunks": picture()[:33] + chunk(b"teXt", b"") * 150_000 + picture()[33:],
    "compressed text": with_chunk(picture(), b"zTXt", b"Comment\x00\x00" + BOMB),
    "a compressed profile": with_chunk(picture(), b"iCCP", b"x\x00\x00" + BOMB),
    "compressed pixels": picture()[:33] + chunk(b"IDAT", BOMB) + chunk(b"IEND", b""),
    "a webp that says more than it is": b"RIFF" + struct.pack("<I", 2**31) + picture("WEBP")[8:],
    "two headers": picture("JPEG")[:2]
    + picture("JPEG", (9, 9))[2:-2].replace(b"\xff\xda", b"\xff\xfe", 1)
    + picture("JPEG")[2:],
    "an empty gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "no pixels": picture()[:16] + b"\x00" * 8 + picture()[24:],
}


@pytest.mark.parametrize("name", HARD)
async def test_decompression_bombs_are_refused_or_stripped(
    daemon: Daemon, alice: Account, before: set[Path], name: str
) -> None:
    answer = await upload(daemon, alice.access_token, HARD[name])
    if answer.status == 200:
        assert name in ("compressed text", "a compressed profile", "compressed pixels")
        assert answer.body["size"] < 10_000
    else:
        assert answer.body["code"] in ("bad_request", "too_large")
        assert set(files(daemon)) == before


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_truncated_images_are_refused(daemon: Daemon, alice: Account, before: set[Path], kind: str) -> None:
    data = picture(kind, (200, 200))
    for length in (12, 40, len(data) // 2, len(data) - 3):
        answer = await upload(daemon, alice.access_token, data[:length])
        assert (answer.status, answer.body["code"]) == (400, "bad_request"), length
    assert set(files(daemon)) == before


async def test_all_frames_count_towards_the_pixel_limit(config: Config) -> None:
    async with running(config.using(replace(config.get(UploadSettings), max_pixels=4000))) as daemon:
        account = await sign_up(daemon.addresses.http)
        for kind in ("GIF", "WEBP"):
            assert (await upload(daemon, account.access_token, film(kind, 10))).status == 200
            assert (await upload(daemon, account.access_token, film(kind, 11))).status == 413


# --- metadata of images -------------------------------------------------------------------------------------------


async def test_metadata_is_removed_and_orientation_applied(daemon: Daemon, alice: Account) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    for kind in ("JPEG", "PNG", "WEBP"):
        data = picture(kind, (40, 30), exif=exif, icc_profile=b"SecretProfile" * 20)
        assert b"SecretCamera" in data
        answer = await stored(daemon, alice.access_token, data)
        assert (answer["width"], answer["height"]) == (30, 40)
        got = (await fetched(daemon, alice.access_token, answer["id"])).body
        assert b"Secret" not in got
        with Image.open(BytesIO(got)) as image:
            assert (dict(image.getexif()), image.size) == ({}, (30, 40))
            assert not {"exif", "icc_profile", "xmp", "comment"} & set(image.info)


# --- quotas, and files of other users -----------------------------------------------------------------------------


async def test_concurrent_uploads_of_a_user_are_limited(daemon: Daemon, alice: Account, before: set[Path]) -> None:
    answers: list[Answer] = []

    async def one() -> None:
        answers.append(await upload(daemon, alice.access_token, PDF))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(one)
    assert {answer.status for answer in answers} == {200, 429}
    refused = [answer for answer in answers if answer.status == 429]
    assert all(answer.body["retryable"] and int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert len(set(files(daemon)) - before) == 50 - len(refused) <= 30


async def test_uploads_per_minute_are_limited(config: Config) -> None:
    async with running(config.using(replace(config.get(UploadSettings), user_per_minute=3))) as daemon:
        alice, bob = await sign_up(daemon.addresses.http), await sign_up(daemon.addresses.http)
        assert [(await upload(daemon, alice.access_token, PDF)).status for _ in range(4)] == [200, 200, 200, 429]
        assert (await upload(daemon, bob.access_token, PDF)).status == 200


async def test_bytes_per_day_are_limited_and_removal_frees_no_quota(config: Config) -> None:
    quota = 3 * len(PDF) + 10
    async with running(config.using(replace(config.get(UploadSettings), user_quota_bytes=quota))) as daemon:
        alice, bob = await sign_up(daemon.addresses.http), await sign_up(daemon.addresses.http)
        for _ in range(3):
            id_ = (await stored(daemon, alice.access_token, PDF))["id"]
            assert (await daemon.rest("DELETE", f"/v1/uploads/{id_}", None, alice.access_token)).status == 200
        answer = await upload(daemon, alice.access_token, PDF)
        assert (answer.status, answer.body["code"]) == (429, "rate_limited")
        assert files(daemon) == []
        assert (await upload(daemon, bob.access_token, PDF)).status == 200


async def test_concurrent_uploads_do_not_exceed_the_quota(config: Config) -> None:
    quota = 2 * len(PDF) + 10
    async with running(config.using(replace(config.get(UploadSettings), user_quota_bytes=quota))) as daemon:
        alice = await sign_up(daemon.addresses.http)

        async def one() -> None:
            await upload(daemon, alice.access_token, PDF)

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(one)
        assert len(files(daemon)) == 2


async def test_anonymous_accounts_of_one_address_share_a_quota(config: Config, store: Postgres) -> None:
    """Regardless of the number of accounts, also at once; accounts of the operator's own backend do not count."""
    settings = config.using(replace(config.get(UploadSettings), address_quota_bytes=3 * len(PDF) + 10))
    async with running(settings) as daemon:
        accounts = [await sign_up(daemon.addresses.http) for _ in range(5)]
        statuses: list[int] = []

        async def one(account: Account) -> None:
            statuses.append((await upload(daemon, account.access_token, PDF)).status)

        async with trio.open_nursery() as nursery:
            for account in accounts:
                nursery.start_soon(one, account)
        assert sorted(statuses) == [200, 200, 200, 429, 429]
        assert len(files(daemon)) == 3
        assert await store.value("select sum(bytes) from address_uploads") == 3 * len(PDF)
        assert (await upload(daemon, daemon.token(NOBODY), PDF)).status == 200
        await store.run("update address_uploads set hour = hour - 25")
        assert (await upload(daemon, accounts[0].access_token, PDF)).status == 200


async def test_a_backend_has_no_quota_per_address(config: Config) -> None:
    backend = config.using(replace(config.get(UploadSettings), address_quota_bytes=10))
    async with running(replace(backend, http=replace(config.http, backends=["127.0.0.1"]))) as daemon:
        assert (await upload(daemon, (await sign_up(daemon.addresses.http)).access_token, PDF)).status == 200


async def test_files_of_other_users_are_not_found(daemon: Daemon, alice: Account) -> None:
    bob = await sign_up(daemon.addresses.http)
    theirs = await stored(daemon, alice.access_token, PDF)
    for path in (theirs["id"], theirs["key"], f"../uploads/{theirs['id']}", NOBODY, "..%2f..%2fsecret"):
        assert (await fetched(daemon, bob.access_token, path)).status == 404
        assert (await daemon.rest("DELETE", f"/v1/uploads/{path}", None, bob.access_token)).status in (400, 404)
    assert (await fetched(daemon, alice.access_token, theirs["id"])).body == PDF
