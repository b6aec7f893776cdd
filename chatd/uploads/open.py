"""The store of uploads that the configuration names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chatd.core.config import Config
from chatd.core.errors import OperatorError
from chatd.uploads.blobs import Blobs
from chatd.uploads.folder_store import Folder
from chatd.uploads.s3_store import Bucket, new_client
from chatd.uploads.settings import UploadSettings


class BlobsError(OperatorError):
    """The store cannot be used as configured; the text names the problem."""


@asynccontextmanager
async def open_blobs(config: Config) -> AsyncIterator[Blobs]:
    """Open the bucket if one is configured, otherwise the folder. Raises BlobsError, OSError."""
    settings = config.get(UploadSettings)
    if not uses_bucket(settings):
        yield Folder(open_folder(settings.dir or Path(config.data.dir) / "uploads"))
        return
    check_bucket(settings)
    async with new_client() as client:
        yield Bucket(settings, client)


def uses_bucket(settings: UploadSettings) -> bool:
    return bool(settings.s3_bucket or settings.s3_endpoint)


def open_folder(place: str | Path) -> Path:
    path = Path(place)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def check_bucket(settings: UploadSettings) -> None:
    """Check the settings of the bucket. Raises BlobsError."""
    missing = [name for name in ("s3_endpoint", "s3_bucket", "s3_key", "s3_secret") if not getattr(settings, name)]
    if missing:
        raise BlobsError(f"a bucket also needs {', '.join(f'uploads.{name}' for name in missing)}")
    if not settings.s3_endpoint.startswith(("https://", "http://")):
        raise BlobsError("uploads.s3_endpoint is not an http or https URL")
