"""Attachments of messages: uploads, links, locations and contacts.

The client names an attachment, and the server describes it: all facts about an upload come from the upload itself.
"""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from chatd.core.ids import PYTHON_END
from chatd.uploads.events import Duration, Placeholder, Waveform
from chatd.wire.base import Id
from chatd.wire.reference.examples import Example
from chatd.wire.texts import MESSAGE

UploadType = Literal["image", "video", "audio", "voice", "file"]
Url = Annotated[str, Meta(min_length=1, max_length=2048, extra=MESSAGE, description="http or https")]
ThumbnailUrl = Annotated[str, Meta(description="URL of a small WebP")]
MAX_ATTACHMENTS = 10


# One line of a place or a contact.
Line = Annotated[str, Meta(min_length=1, max_length=200, extra=MESSAGE)]
Description = Annotated[str, Meta(min_length=1, max_length=500, extra=MESSAGE)]
Latitude = Annotated[float, Meta(ge=-90, le=90, description="Degrees, WGS 84")]
Longitude = Annotated[float, Meta(ge=-180, le=180, description="Degrees, WGS 84")]
Accuracy = Annotated[float, Meta(ge=0, le=100_000, description="Metres")]
Phone = Annotated[
    str, Meta(pattern=rf"^\+?[0-9()./ -]{{2,32}}{PYTHON_END}", description="2 to 32 digits, spaces and `+()./-`")
]
# No markup, no address of a web page, no invisible characters.
MAIL_PART = r"[^\u0000-\u0020\u007f-\u00a0\u2000-\u206f\ufeff<>\"'@/:\\]+"
Email = Annotated[
    str, Meta(max_length=254, pattern=f"^{MAIL_PART}@{MAIL_PART}{PYTHON_END}", description="An e-mail address")
]
MAX_PHONES = MAX_EMAILS = 5


# The fields of a link that describe its page.
PREVIEW = ("title", "description", "image")
# The fields of an attachment, besides its type.
FIELDS = (
    "upload",
    "waveform",
    "url",
    "latitude",
    "longitude",
    "accuracy",
    "name",
    "address",
    "phones",
    "emails",
    *PREVIEW,
)
# By type: the fields that an attachment must have, and those that it may have.
FORMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "image": (("upload",), ()),
    "video": (("upload",), ()),
    "audio": (("upload",), ()),
    "file": (("upload",), ()),
    "voice": (("upload",), ("waveform",)),
    "link": (("url",), PREVIEW),
    "location": (("latitude", "longitude"), ("accuracy", "name", "address")),
    "contact": (("name",), ("phones", "emails")),
}


class AttachmentInput(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An attachment as a client names it.

    An `upload` may have a `type`, which otherwise follows from its MIME type. `voice` and `audio` accept any sound, MP4
    and WebM included; `file` accepts every upload. A `voice` may have a `waveform`, which is used if the server cannot
    decode the sound. A `link` has a `url` and may omit its type; `title`, `description` and `image` (a URL) are its
    preview, if the sender gives one. A `location` has `latitude` and `longitude`, and optionally `accuracy`, `name` and
    `address`. A `contact` has a `name`, and `phones` or `emails`. Other combinations are refused.
    """

    type: UploadType | Literal["link", "location", "contact"] | None = None
    upload: Id | None = None
    waveform: Waveform | None = None
    url: Url | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    accuracy: Accuracy | None = None
    name: Line | None = None
    address: Line | None = None
    phones: Annotated[list[Phone], Meta(min_length=1, max_length=MAX_PHONES)] | None = None
    emails: Annotated[list[Email], Meta(min_length=1, max_length=MAX_EMAILS)] | None = None
    title: Line | None = None
    description: Description | None = None
    image: Url | None = None
    EXAMPLE: ClassVar = Example(
        left_out=FIELDS[1:],
    )


class UploadAttachment(Struct, kw_only=True, frozen=True, tag_field="type"):
    """An upload. Members download it from `url`; `size` in bytes."""

    upload: Id
    url: str
    mime: str
    size: int
    name: str | None


class ImageAttachment(UploadAttachment, kw_only=True, frozen=True, tag="image"):
    """An image. `width` and `height` in pixels. Members download the `thumbnail` as they do the image."""

    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    thumbnail: ThumbnailUrl | UnsetType = UNSET
    placeholder: Placeholder | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(name="cat.jpg")


class VideoAttachment(UploadAttachment, kw_only=True, frozen=True, tag="video"):
    """A video. `width` and `height` in pixels, and `duration`, if they are known."""

    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    duration: Duration | UnsetType = UNSET


class AudioAttachment(UploadAttachment, kw_only=True, frozen=True, tag="audio"):
    """An audio file, and its `duration`, if it is known."""

    duration: Duration | UnsetType = UNSET


class VoiceAttachment(UploadAttachment, kw_only=True, frozen=True, tag="voice"):
    """A voice message. `duration` and `waveform`, if they are known; the waveform may be one that the sender gave."""

    duration: Duration | UnsetType = UNSET
    waveform: Waveform | UnsetType = UNSET


class FileAttachment(UploadAttachment, kw_only=True, frozen=True, tag="file"):
    """Any file. One that is sent as a file keeps the facts of an image, a video or a sound, too."""

    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    duration: Duration | UnsetType = UNSET
    thumbnail: ThumbnailUrl | UnsetType = UNSET
    placeholder: Placeholder | UnsetType = UNSET


class LinkAttachment(Struct, kw_only=True, frozen=True, tag_field="type", tag="link"):
    """A link that the sender has attached. The link filters have accepted it, and its `image`.

    `title`, `description` and `image` are what the sender says about it. A client that loads the `image` shows its own
    address to the server of that URL.
    """

    url: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    image: str | UnsetType = UNSET


class LocationAttachment(Struct, kw_only=True, frozen=True, tag_field="type", tag="location"):
    """A place."""

    latitude: Latitude
    longitude: Longitude
    accuracy: Accuracy | UnsetType = UNSET
    name: str | UnsetType = UNSET
    address: str | UnsetType = UNSET


class ContactAttachment(Struct, kw_only=True, frozen=True, tag_field="type", tag="contact"):
    """A person or a place to call or to write to."""

    name: str
    phones: list[str] | UnsetType = UNSET
    emails: list[str] | UnsetType = UNSET


Attachment = (
    ImageAttachment
    | VideoAttachment
    | AudioAttachment
    | VoiceAttachment
    | FileAttachment
    | LinkAttachment
    | LocationAttachment
    | ContactAttachment
)


def attachments_in(stored: Any) -> list[dict[str, Any]]:
    """The attachments of a column. Values of another form, which other programs have stored, are left out."""
    if not isinstance(stored, list):
        return []
    return [one for one in stored if isinstance(one, dict) and isinstance(one.get("type"), str)]
