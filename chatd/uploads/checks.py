"""What `chatd check` examines of uploads."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import trio

from chatd.app.checks import Finding, folder_finding
from chatd.core.config import Config
from chatd.core.errors import Refused, cause_of
from chatd.uploads.blobs import new_key
from chatd.uploads.chunks import Chunks
from chatd.uploads.open import BlobsError, check_bucket, open_blobs, uses_bucket
from chatd.uploads.scanning import BadScanner, ScanFailed, address_of, ping
from chatd.uploads.settings import UploadSettings

# A URL of S3 is valid for seven days at most, and chatd makes them for twice its lifetime.
MIN_URL_LIFETIME_S, MAX_URL_LIFETIME_S = 60, 302_400


def check_settings(config: Config) -> Iterator[Finding]:
    if (error := bucket_error(config)) is not None:
        yield Finding("uploads", False, str(error), "correct the settings s3_* in [uploads]", "uploads")
    if not MIN_URL_LIFETIME_S <= config.get(UploadSettings).url_lifetime <= MAX_URL_LIFETIME_S:
        detail = f"uploads.url_lifetime: expected {MIN_URL_LIFETIME_S} to {MAX_URL_LIFETIME_S} seconds"
        yield Finding("uploads", False, detail, "correct uploads.url_lifetime", "uploads")
    try:
        address_of(config.get(UploadSettings).scan)
    except BadScanner as bad:
        yield Finding("virus scanner", False, str(bad), "correct uploads.scan", "scanner")


def bucket_error(config: Config) -> BlobsError | None:
    settings = config.get(UploadSettings)
    try:
        if uses_bucket(settings):
            check_bucket(settings)
    except BlobsError as error:
        return error
    return None


async def check(config: Config) -> Iterable[Finding]:
    return [*await check_store(config), *await check_scanner(config.get(UploadSettings))]


async def check_scanner(settings: UploadSettings) -> Iterable[Finding]:
    """Whether the scanner answers."""
    if not settings.scan:
        return []
    try:
        await ping(settings)
    except BadScanner:
        return []
    except (OSError, trio.TooSlowError, trio.BrokenResourceError, ScanFailed) as error:
        detail = f"{settings.scan}: {str(error) or type(error).__name__}"
        fix = "start clamd, let it listen there, and let the account of chatd use its socket; or correct uploads.scan"
        return [Finding("virus scanner", False, detail, fix, "scanner")]
    return [Finding("virus scanner", True, settings.scan, code="scanner")]


async def check_store(config: Config) -> Iterable[Finding]:
    """Whether the store accepts files. A folder that does not exist is not created."""
    settings = config.get(UploadSettings)
    if not uses_bucket(settings):
        folder = Path(settings.dir or Path(config.data.dir) / "uploads")
        return [folder_finding("uploads", folder, "uploads.dir", "uploads")]
    if bucket_error(config) is not None:
        return []
    try:
        async with open_blobs(config) as blobs:
            key = new_key()
            await blobs.put(key, Chunks.of(b"chatd check"))
            await blobs.delete(key)
    except Refused as refused:
        detail = f"{refused.message}{cause_of(refused)}"
        return [Finding("uploads", False, detail, bucket_fix(refused.__cause__), "uploads")]
    return [Finding("uploads", True, f"bucket {settings.s3_bucket}", code="uploads")]


def bucket_fix(cause: BaseException | None) -> str:
    """The fix for a bucket that refuses requests, by the status of its response."""
    match str(cause)[:8]:
        case "HTTP 401" | "HTTP 403":
            return "correct uploads.s3_key and uploads.s3_secret, or allow this key to put, get and delete objects"
        case "HTTP 404":
            return "create the bucket, or correct uploads.s3_bucket"
        case "HTTP 301" | "HTTP 307" | "HTTP 400":
            return "correct uploads.s3_region and uploads.s3_endpoint"
    return "no S3 service answers at uploads.s3_endpoint: correct it, or check the log of the service"
