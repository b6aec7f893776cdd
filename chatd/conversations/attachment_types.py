"""Attachments of messages: uploads and links.

The client names an attachment, and the server describes it: all facts about an upload come from the upload itself.
"""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from chatd.wire.base import Id
from chatd.wire.reference.examples import Example
from chatd.wire.texts import MESSAGE

UploadType = Literal["image", "video", "audio", "voice", "file"]
Url = Annotated[str, Meta(min_length=1, max_length=2048, extra=MESSAGE, description="http or https")]
MAX_ATTACHMENTS = 10


class AttachmentInput(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An attachment as a client names it: an `upload`, or the `url` of a link. Exactly one of the two.

    Without `type`, a `url` is a `link`, and the type of an `upload` follows from its MIME type. `voice` and `audio`
    accept any sound, MP4 and WebM included; `file` accepts every upload.
    """

    type: UploadType | Literal["link"] | None = None
    upload: Id | None = None
    url: Url | None = None
    EXAMPLE: ClassVar = Example(left_out=("url",))


class UploadAttachment(Struct, kw_only=True, frozen=True, tag_field="type"):
    """An upload. Members download it from `url`; `size` in bytes."""

    upload: Id
    url: str
    mime: str
    size: int
    name: str | None


class ImageAttachment(UploadAttachment, kw_only=True, frozen=True, tag="image"):
    """An image. `width` and `height` in pixels, if known."""

    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(name="cat.jpg")


class VideoAttachment(UploadAttachment, kw_only=True, frozen=True, tag="video"):
    """A video."""


class AudioAttachment(UploadAttachment, kw_only=True, frozen=True, tag="audio"):
    """An audio file."""


class VoiceAttachment(UploadAttachment, kw_only=True, frozen=True, tag="voice"):
    """A voice message."""


class FileAttachment(UploadAttachment, kw_only=True, frozen=True, tag="file"):
    """Any file. An image that is sent as a file has `width` and `height`, too."""

    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET


class LinkAttachment(Struct, kw_only=True, frozen=True, tag_field="type", tag="link"):
    """A link that the sender has attached. The link filters have accepted it."""

    url: str


Attachment = ImageAttachment | VideoAttachment | AudioAttachment | VoiceAttachment | FileAttachment | LinkAttachment


def attachments_in(stored: Any) -> list[dict[str, Any]]:
    """The attachments of a column. Values of another form, which other programs have stored, are left out."""
    if not isinstance(stored, list):
        return []
    return [one for one in stored if isinstance(one, dict) and isinstance(one.get("type"), str)]
