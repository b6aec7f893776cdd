"""URLs that need no token: what they give access to, for how long, and who gets them."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from msgspec.structs import replace

from chatd.accounts.settings import TenantSettings
from chatd.client import sign_up
from chatd.core.config import Config, Data
from chatd.core.errors import Refused
from chatd.uploads.blobs import Presigned, new_key, path_of
from chatd.uploads.checks import check_settings
from chatd.uploads.chunks import Chunks
from chatd.uploads.s3_store import Bucket, new_client
from chatd.uploads.settings import UploadSettings
from chatd.uploads.signed_urls import Part, UrlSigner
from tests.files import PDF, fetched, picture, stored
from tests.support import NOBODY, Answer, Daemon, Person, covers, running, shared
from tests.uploads.conftest import BUCKET, client

daemon = shared
NOW = 1_780_000_000_000
UPLOAD = "01900000-0000-7000-8000-000000000001"


@pytest.fixture
def signer() -> UrlSigner:
    return UrlSigner(Config(data=Data(secret="s" * 32)))


def fields_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def check(signer: UrlSigner, now: int = NOW, **changed: str) -> int:
    given = {"upload": UPLOAD, **fields_of(signer.url("default", UPLOAD, Part.FILE, NOW)), **changed}
    return signer.check(given["tenant"], given["upload"], Part.FILE, given["expires"], given["signature"], now)


def test_a_url_is_valid_for_one_to_two_periods_and_stable_within_one(signer: UrlSigner) -> None:
    begin, expires = signer.period(NOW)
    urls = {signer.url("default", UPLOAD, Part.FILE, now) for now in (begin, NOW, begin + 3_599_999)}
    assert len(urls) == 1
    assert signer.url("default", UPLOAD, Part.FILE, begin + 3_600_000) not in urls
    assert check(signer, begin + 3_599_999) >= 3_600_000
    assert check(signer, expires - 1) == 1
    with pytest.raises(Refused, match="expired"):
        check(signer, expires)


def test_every_change_of_a_url_is_refused(signer: UrlSigner) -> None:
    good = fields_of(signer.url("default", UPLOAD, Part.FILE, NOW))
    later = str(int(good["expires"]) + 1)
    stranger = UrlSigner(Config(data=Data(secret="x" * 32)))
    other = fields_of(stranger.url("default", UPLOAD, Part.FILE, NOW))
    thumbnail = fields_of(signer.url("default", UPLOAD, Part.THUMBNAIL, NOW))
    for changed in (
        {"tenant": "other"}, {"upload": NOBODY}, {"expires": later}, {"expires": f"0{good['expires']}"},
        {"expires": f"{good['expires']} "}, {"expires": "9" * 30}, {"expires": "-1"}, {"expires": ""}, {"expires": "١"},
        {"signature": ""}, {"signature": good["signature"][:-1]}, {"signature": good["signature"].swapcase()},
        {"signature": "é" * 43}, {"signature": other["signature"]}, {"signature": thumbnail["signature"]},
        {"tenant": "default\0" + UPLOAD},
    ):  # fmt: skip
        with pytest.raises(Refused, match="not valid") as refused:
            check(signer, **changed)
        assert refused.value.code == "forbidden", changed


async def opened(daemon: Daemon, url: str, **headers: str) -> Answer:
    """`url`: its host may be another one."""
    place = urlsplit(url)
    return await daemon.rest("GET", f"{place.path}?{place.query}", None, **headers)


async def signed(person: Person, *uploads: str) -> list[dict[str, str]]:
    answer = await person.call("upload.sign", uploads=list(uploads))
    assert answer["expires_at"] > 0
    return list(answer["items"])


@covers("upload.sign")
async def test_members_get_urls_for_files_and_thumbnails(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as carol:
        token = alice.account.access_token
        image = await stored(daemon, token, picture("JPEG", (800, 600)))
        pdf, own = await stored(daemon, token, PDF, "a.pdf"), await stored(daemon, token, PDF)
        await alice.send(conversation, attachments=[{"upload": image["id"]}, {"upload": pdf["id"]}])
        shown, document = await signed(bob, image["id"], pdf["id"], own["id"], NOBODY)
        assert (shown["upload"], document["upload"], document["thumbnail"]) == (image["id"], pdf["id"], None)
        got = await opened(daemon, shown["url"])
        assert (got.status, len(got.body), got.headers["content-type"]) == (200, image["size"], "image/jpeg")
        assert got.headers["cross-origin-resource-policy"] == "cross-origin"
        assert got.headers["cache-control"].startswith("private, max-age=")
        assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert "vary" not in got.headers
        assert (await opened(daemon, shown["thumbnail"])).headers["content-type"] == "image/webp"
        assert (await opened(daemon, document["url"])).headers["content-disposition"].startswith("attachment;")
        assert (await opened(daemon, document["url"], Range="bytes=0-3")).body == PDF[:4]
        again = await opened(daemon, shown["url"], If_None_Match=got.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        assert (await carol.refused("upload.sign", uploads=[image["id"]])).code == "not_found"


@covers("upload.sign", "not_found")
async def test_urls_of_unknown_uploads_are_refused(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        assert (await alice.refused("upload.sign", uploads=[NOBODY])).code == "not_found"
        assert (await alice.refused("upload.sign", uploads=[])).code == "bad_request"
        assert (await alice.refused("upload.sign", uploads=[NOBODY] * 101)).code == "bad_request"


async def test_changed_expired_and_removed_urls_are_refused(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        upload = (await stored(daemon, alice.account.access_token, picture()))["id"]
        (one,) = await signed(alice, upload)
        fields = fields_of(one["url"])
        for name, value in (("signature", "x"), ("expires", "1"), ("tenant", "x"), ("tenant", "default\0")):
            changed = f"{one['url'].partition('?')[0]}?{urlencode({**fields, name: value})}"
            assert ((await opened(daemon, changed)).body["code"]) == "forbidden"
        assert (await opened(daemon, one["url"].partition("?")[0])).status == 403
        for name in fields:
            # A cache may read the last of two values.
            assert (await opened(daemon, f"{one['url']}&{name}=1")).status == 400
        assert (await opened(daemon, one["url"].replace("/signed?", "/thumbnail/signed?"))).status == 403
        signer = UrlSigner(daemon.config)
        old = signer.url("default", upload, Part.FILE, 1)
        assert "expired" in (await opened(daemon, old)).body["message"]
        for missing in (
            signer.url("default", NOBODY, Part.FILE, 2**42),
            signer.url("default", upload, Part.THUMBNAIL, 2**42),
        ):
            assert (await opened(daemon, missing)).status == 404
        assert (await opened(daemon, one["url"])).status == 200
        await alice.call("upload.delete", upload=upload)
        assert (await opened(daemon, one["url"])).status == 404


async def test_a_url_of_one_tenant_is_not_one_of_another(config: Config) -> None:
    two = config.using_named(TenantSettings, {"other": TenantSettings(secret="s" * 32)})
    async with running(two) as daemon:
        account = await sign_up(daemon.addresses.http, tenant="other")
        upload = (await stored(daemon, account.access_token, PDF))["id"]
        answer = await daemon.rest("POST", "/v1/uploads/sign", {"uploads": [upload]}, account.access_token)
        url = answer.body["items"][0]["url"]
        assert url.startswith(f"{daemon.addresses.http}/v1/uploads/{upload}/signed?")
        assert (await opened(daemon, url)).body == PDF
        assert (await opened(daemon, url.replace("tenant=other", "tenant=default"))).status == 403


@covers("upload.info")
async def test_info_describes_an_upload(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        image = await stored(daemon, alice.account.access_token, picture(size=(800, 600)))
        assert await alice.call("upload.info", upload=image["id"]) == image
        await alice.send(conversation, attachments=[{"upload": image["id"]}])
        answer = await daemon.rest("GET", f"/v1/uploads/{image['id']}/info", None, bob.account.access_token)
        assert (answer.status, answer.body) == (200, image)


@covers("upload.info", "not_found")
async def test_info_of_files_of_others_is_refused(daemon: Daemon) -> None:
    async with daemon.person() as alice, daemon.person() as bob:
        image = await stored(daemon, alice.account.access_token, picture())
        assert (await bob.refused("upload.info", upload=image["id"])).code == "not_found"


async def test_presigned_url_is_that_of_amazons_client(s3_endpoint: str) -> None:
    async with new_client() as http:
        bucket = Bucket(replace(BUCKET, s3_endpoint=s3_endpoint, s3_presigned=True), http)
        key = new_key()
        await bucket.put(key, Chunks.of(b"content"))
        params = {
            "Bucket": BUCKET.s3_bucket, "Key": path_of(key), "ResponseContentType": "image/png",
            "ResponseContentDisposition": "inline; filename=\"a b.png\"; filename*=UTF-8''a%20b.png",
        }  # fmt: skip
        theirs = client(s3_endpoint).generate_presigned_url("get_object", params, ExpiresIn=7200)
        signed_at = fields_of(theirs)["X-Amz-Date"]
        at = round(datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp() * 1000)
        reply = Presigned(at, at + 7_200_000, params["ResponseContentType"], params["ResponseContentDisposition"])
        ours = bucket.presigned(key, reply)
        assert ours is not None
        assert fields_of(ours) == fields_of(theirs)
        got = await http.get(ours)
        assert (got.status_code, got.content, got.headers["content-type"]) == (200, b"content", "image/png")


async def test_bucket_without_presigned_urls_is_read_by_chatd(s3_endpoint: str) -> None:
    async with new_client() as http:
        bucket = Bucket(replace(BUCKET, s3_endpoint=s3_endpoint), http)
        assert bucket.presigned(new_key(), Presigned(0, 1000, "image/png", "inline")) is None


async def test_signed_urls_lead_to_the_bucket(config: Config, s3_endpoint: str) -> None:
    settings = replace(BUCKET, s3_endpoint=s3_endpoint, s3_presigned=True)
    async with running(config.using(settings)) as daemon, daemon.person() as alice, new_client() as http:
        upload = await stored(daemon, alice.account.access_token, picture("PNG", (800, 600)))
        (one,) = await signed(alice, upload["id"])
        assert one["url"].startswith(s3_endpoint)
        got = await http.get(one["url"])
        assert (got.status_code, len(got.content)) == (200, upload["size"])
        assert (await http.get(one["thumbnail"])).content[8:12] == b"WEBP"
        assert (await fetched(daemon, alice.account.access_token, upload["id"])).status == 200
        await alice.call("upload.delete", upload=upload["id"])
        # S3 does not tell those who may not list the bucket which object is missing.
        assert (await http.get(one["url"])).status_code in (403, 404)


@pytest.mark.parametrize(("lifetime", "is_valid"), [(59, False), (60, True), (302_400, True), (302_401, False)])
def test_lifetime_of_urls_has_bounds(lifetime: float, is_valid: bool) -> None:
    findings = [*check_settings(Config().using(UploadSettings(url_lifetime=lifetime)))]
    assert [finding.ok for finding in findings] == ([] if is_valid else [False])
