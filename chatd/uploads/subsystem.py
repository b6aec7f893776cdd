"""Uploads: files that users attach, in a folder or in a bucket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem
from chatd.uploads import checks, commands, downloads, openapi, routes, sweep
from chatd.uploads.admission import UploadSlots
from chatd.uploads.blobs import Blobs
from chatd.uploads.events import Upload
from chatd.uploads.media.protocol import Limits
from chatd.uploads.media.workers import MediaWorkers
from chatd.uploads.metrics import METRICS
from chatd.uploads.open import open_blobs
from chatd.uploads.personal_data import PERSONAL_DATA
from chatd.uploads.resumable import routes as resumable_routes
from chatd.uploads.resumable import service as resumable
from chatd.uploads.scanning import Scanner
from chatd.uploads.settings import SETTINGS, UploadSettings
from chatd.uploads.signed_urls import UrlSigner
from chatd.uploads.tables import TABLES


@asynccontextmanager
async def open_uploads(node: Node) -> AsyncIterator[None]:
    """Open the store of the bytes. Raises BlobsError, OSError."""
    async with open_blobs(node.config) as blobs:
        node.services.add(blobs, Blobs)
        node.services.add(sweep.Sweep(node))
        node.services.add(UrlSigner(node.config))
        node.services.add(UploadSlots(node.config.get(UploadSettings)))
        scanner = node.services.add(Scanner(node.config.get(UploadSettings)))
        if scanner.is_used:
            node.health.add(scanner.condition)
        workers = node.services.add(MediaWorkers(limits_of(node.config.get(UploadSettings))))
        try:
            yield
        finally:
            await workers.aclose()


def limits_of(settings: UploadSettings) -> Limits:
    return Limits(settings.max_bytes, settings.max_pixels, settings.media_timeout)


async def end_idle_processes(node: Node) -> bool:
    await node.get(MediaWorkers).end_idle(trio.current_time())
    return False


UPLOADS = Subsystem(
    name="uploads",
    about="files in a folder or a bucket",
    settings=SETTINGS,
    tables=TABLES,
    check_settings=checks.check_settings,
    check=checks.check,
    commands=(commands,),
    routes=(routes.add_routes, downloads.add_routes, resumable_routes.add_routes),
    openapi=openapi.ROUTES,
    results=(Upload,),
    jobs=(
        Job("unused uploads", sweep.sweep, 3600),
        Job("unfinished uploads", resumable.sweep, 300),
        Job("idle media processes", end_idle_processes, 60),
    ),
    metrics=METRICS,
    personal_data=PERSONAL_DATA,
    open=open_uploads,
)
