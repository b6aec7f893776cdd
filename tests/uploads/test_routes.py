"""Files over HTTP: what is stored, who may read it, and how."""

import hashlib
from io import BytesIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image

from chatd.accounts.settings import TenantSettings
from chatd.client import sign_up
from chatd.core.config import Config
from chatd.db.postgres import open_postgres
from chatd.uploads.events import Upload
from chatd.uploads.folder_store import IDENTITY
from chatd.uploads.ranges import Unsatisfiable, wanted
from chatd.uploads.settings import UploadSettings
from tests.files import FORM, MP4, PDF, fetched, film, form, part, picture, stored, upload
from tests.http.raw import HttpPort
from tests.support import NOBODY, Daemon, running, shared
from tests.uploads.test_commands import use

daemon = shared

OTHER_SECRET = "another-tenant's-secret-of-32-bytes"


async def test_file_is_returned_unchanged(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    answer = await stored(daemon, account.access_token, PDF, "Tickets für uns.pdf")
    assert set(answer) == {"t", *Upload.__struct_fields__}
    assert answer["url"] == f"{daemon.addresses.http}/v1/uploads/{answer['id']}"
    assert (answer["mime"], answer["size"], answer["name"]) == ("application/pdf", len(PDF), "Tickets für uns.pdf")
    assert len(answer["key"]) == 40
    got = await fetched(daemon, account.access_token, answer["id"])
    assert (got.status, got.body) == (200, PDF)
    assert got.headers["content-type"] == "application/pdf"
    assert got.headers["content-length"] == str(len(PDF))
    assert got.headers["etag"] == f'"{hashlib.sha256(PDF).hexdigest()}"'
    assert got.headers["content-disposition"] == (
        "attachment; filename=\"file.pdf\"; filename*=UTF-8''Tickets%20f%C3%BCr%20uns.pdf"
    )


async def test_image_is_re_encoded_and_displayed_inline(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    for kind in ("PNG", "JPEG", "GIF", "WEBP"):
        answer = await stored(daemon, account.access_token, picture(kind, (40, 30)))
        assert (answer["mime"], answer["width"], answer["height"]) == (f"image/{kind.lower()}", 40, 30)
        got = await fetched(daemon, account.access_token, answer["id"])
        assert len(got.body) == answer["size"]
        with Image.open(BytesIO(got.body)) as image:
            assert (image.format, image.size) == (kind, (40, 30))
        assert got.headers["content-disposition"].startswith("inline;")


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
async def test_animation_is_kept(daemon: Daemon, kind: str) -> None:
    account = await sign_up(daemon.addresses.http)
    answer = await stored(daemon, account.access_token, film(kind, 7))
    got = await fetched(daemon, account.access_token, answer["id"])
    with Image.open(BytesIO(got.body)) as image:
        assert getattr(image, "n_frames", 1) == 7


async def test_field_image_and_missing_file_name_are_accepted(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    assert (await upload(daemon, account.access_token, picture(), field="image")).body["mime"] == "image/png"
    assert (await upload(daemon, account.access_token, b"just bytes", name=None)).body["name"] is None
    assert (await upload(daemon, account.access_token, b"", name="empty")).body["size"] == 0


async def test_upload_and_download_need_a_valid_token(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    id_ = (await stored(daemon, account.access_token, PDF))["id"]
    old = daemon.token(account.user, exp=1)
    for token in (None, "nonsense", old):
        for answer in (await upload(daemon, token or "", PDF), await fetched(daemon, token or "", id_)):
            assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
    assert (await daemon.rest("GET", f"/v1/uploads/{id_}?token={account.access_token}")).status == 401
    assert (await daemon.rest("GET", f"/v1/uploads/{id_}", Cookie=f"token={account.access_token}")).status == 401
    await daemon.rest("POST", "/v1/auth/logout", {}, account.access_token)
    assert (await fetched(daemon, account.access_token, id_)).status == 401


async def test_members_of_a_conversation_that_uses_a_file_can_read_it(daemon: Daemon, loop: None) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as carol:
        id_ = (await stored(daemon, alice.account.access_token, PDF))["id"]
        assert (await fetched(daemon, bob.account.access_token, id_)).status == 404
        await use(daemon, id_, conversation)
        assert (await fetched(daemon, bob.account.access_token, id_)).body == PDF
        assert (await fetched(daemon, carol.account.access_token, id_)).status == 404
        async with open_postgres(daemon.config.postgres.dsn, daemon.config.postgres) as db:
            await db.run("delete from members where conversation = $1 and user_id = $2", conversation, bob.user)
        assert (await fetched(daemon, bob.account.access_token, id_)).status == 404


async def test_unreadable_and_unknown_files_look_the_same(config: Config) -> None:
    two = config.using_named(TenantSettings, {"other": TenantSettings(secret=OTHER_SECRET)})
    async with running(two) as daemon:
        alice, bob = await sign_up(daemon.addresses.http), await sign_up(daemon.addresses.http)
        stranger = await sign_up(daemon.addresses.http, tenant="other")
        theirs = (await stored(daemon, alice.access_token, PDF))["id"]
        removed = (await stored(daemon, bob.access_token, PDF))["id"]
        await daemon.rest("DELETE", f"/v1/uploads/{removed}", None, bob.access_token)
        lost = await stored(daemon, bob.access_token, PDF)
        next((Path(config.data.dir) / "uploads").rglob(lost["key"])).unlink()
        asked = [theirs, removed, lost["id"], NOBODY, theirs.upper(), lost["key"], "x", "%00", f"{theirs}%0a"]
        answers = [await fetched(daemon, bob.access_token, upload_id) for upload_id in asked]
        answers.append(await fetched(daemon, stranger.access_token, theirs))
        assert {answer.status for answer in answers} == {404}
        assert len({str(answer.body) for answer in answers}) == 1
        heads = [{name: value for name, value in answer.headers.items() if name != "date"} for answer in answers]
        assert all(head == heads[0] for head in heads)


async def test_single_range_is_served(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    answer = await stored(daemon, account.access_token, MP4)
    size = len(MP4)
    etag = (await fetched(daemon, account.access_token, answer["id"])).headers["etag"]

    async def ranged(text: str, **headers: str) -> tuple[int, bytes, str | None]:
        got = await fetched(daemon, account.access_token, answer["id"], Range=text, **headers)
        return got.status, got.body, got.headers.get("content-range")

    assert await ranged("bytes=0-9") == (206, MP4[:10], f"bytes 0-9/{size}")
    assert await ranged("bytes=100-") == (206, MP4[100:], f"bytes 100-{size - 1}/{size}")
    assert await ranged("bytes=-7") == (206, MP4[-7:], f"bytes {size - 7}-{size - 1}/{size}")
    assert await ranged(f"bytes=10-{size * 2}") == (206, MP4[10:], f"bytes 10-{size - 1}/{size}")
    assert await ranged(f"bytes={size}-") == (416, b"", f"bytes */{size}")
    assert await ranged("bytes=0-1", If_Range=etag) == (206, MP4[:2], f"bytes 0-1/{size}")
    for text in ("bytes=0-1,4-5", "bytes=5-2", "bytes=-", "lines=1-2", "bytes=a-b", "bytes=" + "9" * 50 + "-"):
        assert await ranged(text) == (200, MP4, None)
    assert await ranged("bytes=0-1", If_Range='"other"') == (200, MP4, None)


@pytest.mark.parametrize(("text", "size"), [("bytes=-0", 5), ("bytes=0-", 0), ("bytes=5-", 5)])
def test_unsatisfiable_range_is_416(text: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        wanted(text, size)


async def test_matching_etag_is_304(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    id_ = (await stored(daemon, account.access_token, PDF))["id"]
    etag = (await fetched(daemon, account.access_token, id_)).headers["etag"]
    for condition in (etag, f'"x", W/{etag}', "*"):
        again = await fetched(daemon, account.access_token, id_, If_None_Match=condition)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert (await fetched(daemon, account.access_token, id_, If_None_Match='"x"')).status == 200


async def test_head_returns_headers_only(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    id_ = (await stored(daemon, account.access_token, PDF))["id"]
    lines = f"HEAD /v1/uploads/{id_} HTTP/1.1\nAuthorization: Bearer {account.access_token}"
    head = await HttpPort.of(daemon).ask(lines)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(PDF)))


async def test_large_file_is_sent_in_parts(config: Config) -> None:
    async with running(config.using(replace(config.get(UploadSettings), max_bytes=4 * 2**20))) as daemon:
        account = await sign_up(daemon.addresses.http)
        data = bytes(range(256)) * (3 * 2**12) + b"end"
        answer = await stored(daemon, account.access_token, data)
        got = await fetched(daemon, account.access_token, answer["id"])
        assert hashlib.sha256(got.body).digest() == hashlib.sha256(data).digest()


async def test_file_url_uses_the_configured_base(config: Config) -> None:
    settings = replace(config, http=replace(config.http, public_url="https://files.example.org/"))
    async with running(settings) as daemon:
        account = await sign_up(daemon.addresses.http)
        answer = await daemon.rest(
            "POST", "/v1/uploads", form(part(PDF)), account.access_token, Content_Type=FORM, Host="evil.test"
        )
        assert answer.body["url"] == f"https://files.example.org/v1/uploads/{answer.body['id']}"


async def test_files_are_readable_by_this_account_only(config: Config) -> None:
    async with running(config) as daemon:
        account = await sign_up(daemon.addresses.http)
        key = (await stored(daemon, account.access_token, PDF))["key"]
    folder = Path(config.data.dir) / "uploads"
    path = folder / key[:2] / key[2:4] / key
    assert path.read_bytes() == PDF
    assert path.stat().st_mode & 0o777 == 0o600
    assert {place.stat().st_mode & 0o777 for place in (folder, path.parent, path.parent.parent)} == {0o700}
    assert {file for file in folder.rglob("*") if file.is_file()} == {path, folder / IDENTITY}


async def test_other_requests_keep_their_own_limit(daemon: Daemon) -> None:
    account = await sign_up(daemon.addresses.http)
    large = b'{"name": "' + b"x" * 100_000 + b'"}'
    for path in ("/v1/auth/anonymous", "/v1/conversations", "/v1/uploads/"):
        answer = await daemon.rest("POST", path, large, account.access_token)
        assert answer.status in (404, 413)
    assert (await daemon.rest("POST", "/v1/uploads", b"{}", account.access_token)).status == 400
