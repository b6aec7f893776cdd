"""Uploads: files that users attach, in a folder or in a bucket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem
from chatd.uploads import checks, commands, openapi, routes, service
from chatd.uploads.blobs import Blobs
from chatd.uploads.events import Upload
from chatd.uploads.open import open_blobs
from chatd.uploads.personal_data import PERSONAL_DATA
from chatd.uploads.settings import SETTINGS
from chatd.uploads.tables import TABLES


@asynccontextmanager
async def open_uploads(node: Node) -> AsyncIterator[None]:
    """Open the store of the bytes. Raises BlobsError, OSError."""
    async with open_blobs(node.config) as blobs:
        node.services.add(blobs, Blobs)
        node.services.add(service.Sweep(node))
        yield


UPLOADS = Subsystem(
    name="uploads",
    about="files in a folder or a bucket",
    settings=SETTINGS,
    tables=TABLES,
    check_settings=checks.check_settings,
    check=checks.check,
    commands=(commands,),
    routes=(routes.add_routes,),
    openapi=openapi.ROUTES,
    results=(Upload,),
    jobs=(Job("unused uploads", service.sweep, 3600),),
    personal_data=PERSONAL_DATA,
    open=open_uploads,
)
