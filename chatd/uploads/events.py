"""The result types of uploads. The routes are in `routes`."""

from base64 import b64encode
from typing import Annotated

from msgspec import Meta, Struct

from chatd.core.config import Config
from chatd.uploads.media.protocol import Facts
from chatd.wire.base import Id, Millis, Result

PATH = "/v1/uploads"
MAX_BARS = 128
Duration = Annotated[float, Meta(description="Seconds")]
Placeholder = Annotated[str, Meta(description="ThumbHash in base64: shown until the image is loaded")]
Waveform = Annotated[
    list[Annotated[int, Meta(ge=0, le=100)]],
    Meta(min_length=1, max_length=MAX_BARS, description="The loudness of equal parts, from 0 to 100"),
]


class Upload(Result, tag="upload"):
    """A stored file. Its owner and the members of conversations that use it can download it from `url`.

    What is unknown is null: `width` and `height` are known of images and of most videos, `duration` of most sounds and
    videos, `placeholder` of images, `waveform` of sounds that the server can decode. An image that is larger than its
    `thumbnail` has one.
    """

    id: Id
    url: str
    key: str
    mime: Annotated[str, Meta(description="By the content")]
    size: Annotated[int, Meta(description="Bytes, as stored")]
    name: str | None
    width: int | None
    height: int | None
    duration: Duration | None
    thumbnail: Annotated[str, Meta(description="URL of a small WebP")] | None
    placeholder: Placeholder | None
    waveform: Waveform | None
    created_at: Millis


class SignedUrl(Struct, kw_only=True, frozen=True):
    """URLs of one upload that need no token. `thumbnail` is null if there is none."""

    upload: Id
    url: str
    thumbnail: str | None


class SignedUrls(Result, tag="signed_urls"):
    """URLs that are valid until `expires_at`, in the order of the uploads that you named."""

    items: list[SignedUrl]
    expires_at: Millis


def upload_of(
    config: Config,
    *,
    id_: str,
    key: str,
    size: int,
    name: str | None,
    facts: Facts,
    has_thumbnail: bool,
    created_at: int,
) -> Upload:
    url = file_url(config.http.public_url, id_)
    return Upload(
        id=id_,
        url=url,
        key=key,
        mime=facts.mime,
        size=size,
        name=name,
        width=facts.width,
        height=facts.height,
        duration=seconds(facts.duration_ms),
        thumbnail=thumbnail_url(url) if has_thumbnail else None,
        placeholder=text_of(facts.placeholder),
        waveform=None if facts.waveform is None else list(facts.waveform),
        created_at=created_at,
    )


def file_url(public_url: str, upload: str) -> str:
    return f"{public_url}{PATH}/{upload}"


def thumbnail_url(url: str) -> str:
    return f"{url}/thumbnail"


def seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def text_of(placeholder: bytes | None) -> str | None:
    return None if placeholder is None else b64encode(placeholder).decode()
