"""The result types of uploads. The routes are in `routes`."""

from typing import Annotated

from msgspec import Meta

from chatd.wire.base import Id, Millis, Result

PATH = "/v1/uploads"


class Upload(Result, tag="upload"):
    """A stored file. Its owner and the members of conversations that use it can download it from `url`."""

    id: Id
    url: str
    key: str
    mime: Annotated[str, Meta(description="By the content")]
    size: Annotated[int, Meta(description="Bytes, as stored")]
    name: str | None
    width: int | None
    height: int | None
    created_at: Millis
