"""Attachments, from what a client names to what is stored and what is shown.

Stored are the type and the facts of the upload, copied when the message is accepted. The address is not stored: it
depends on the public URL of this server, and is added when the message is read.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from chatd.app.context import Ctx
from chatd.conversations.attachment_types import FIELDS, FORMS, Attachment, AttachmentInput, attachments_in
from chatd.conversations.entities import Json
from chatd.core.addresses import parse
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.uploads.events import file_url, seconds, text_of, thumbnail_url

SQL = queries.load("conversations/attachments")
# A scheme, an authority, and no character that ends a link or hides its target: spaces, controls, backslashes, quotes,
# brackets.
WEB_URL = re.compile(r"https?://([^\s\\<>\"`{}|^/?#]+)(?:[/?#][^\s\\<>\"`{}|^]*)?", re.IGNORECASE)
# An IPv6 address in brackets, or a name; then the port.
PLACE = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([^\[\]:%!$&'()*+,;=]+))(?::([0-9]{0,5}))?", re.IGNORECASE)
# By type: the facts of an upload that are shown.
SHOWN = {
    "image": ("width", "height", "thumbnail", "placeholder"),
    "video": ("width", "height", "duration"),
    "audio": ("duration",),
    "voice": ("duration",),
    "file": ("width", "height", "duration", "thumbnail", "placeholder"),
}
SOUND = ("video/mp4", "video/webm")


async def resolve(ctx: Ctx, given: Sequence[AttachmentInput]) -> list[Json]:
    """The stored form of attachments, in their order. Raises Refused: `bad_request`, `not_found`."""
    for index, one in enumerate(given):
        check_form(one, f"$.attachments[{index}]")
    ids = list({one.upload for one in given if one.upload is not None})
    facts = (
        {row["id"]: row for row in await ctx.node.db.all(SQL.readable_uploads, ctx.tenant, ctx.user, ids)}
        if ids
        else {}
    )
    if len(facts) != len(ids):
        raise Refused("not_found", "$.attachments: no such upload")
    return [stored_form(one, facts, f"$.attachments[{index}]") for index, one in enumerate(given)]


def check_form(given: AttachmentInput, path: str) -> None:
    """Check which fields an attachment has. Raises Refused: `bad_request`."""
    type_ = form_of(given, path)
    required, optional = FORMS[type_]
    for field in FIELDS:
        is_given = getattr(given, field) is not None
        if not is_given and field in required:
            raise Refused("bad_request", f"{path}: a {type_} needs {field}")
        if is_given and field not in required and field not in optional:
            raise Refused("bad_request", f"{path}: a {type_} has no {field}")
    if given.url is not None and not is_web_url(given.url):
        raise Refused("bad_request", f"{path}.url: expected an http or https address")
    if given.image is not None and not is_web_url(given.image):
        raise Refused("bad_request", f"{path}.image: expected an http or https address")
    if type_ == "contact" and given.phones is None and given.emails is None:
        raise Refused("bad_request", f"{path}: a contact needs phones or emails")


def form_of(given: AttachmentInput, path: str) -> str:
    """The type that decides which fields an attachment has. Raises Refused: `bad_request`."""
    if given.type is not None:
        return given.type
    if (given.upload is None) == (given.url is None):
        raise Refused("bad_request", f"{path}: expected a type, or either upload or url")
    return "link" if given.upload is None else "file"


def is_web_url(url: str) -> bool:
    """Whether this is an http or https URL of visible characters, with a possible host and port."""
    match = WEB_URL.fullmatch(url)
    place = match and PLACE.fullmatch(match[1].rpartition("@")[2])
    if not place or not url.isprintable() or int(place[3] or 0) >= 2**16:
        return False
    return parse(place[1]) is not None if place[1] else all(map(is_label, place[2].removesuffix(".").split(".")))


def is_label(label: str) -> bool:
    """Whether this can be a part of a host name, in any script: letters, digits and marks, and not only punctuation."""
    return len(label) < 64 and any(map(str.isalnum, label))


def stored_form(given: AttachmentInput, facts: Mapping[str, Row], path: str) -> Json:
    if given.upload is None:
        fields = {field: getattr(given, field) for field in FIELDS}
        return {"type": form_of(given, path), **{name: value for name, value in fields.items() if value is not None}}
    row = facts[given.upload]
    type_ = given.type or usual_type(row["mime"])
    if not fits(type_, row["mime"]):
        usual = " or ".join(dict.fromkeys((usual_type(row["mime"]), "file")))
        raise Refused("bad_request", f"{path}.type: the upload is {row['mime']}; send it as {usual}")
    form = {"type": type_, "upload": given.upload, "mime": row["mime"], "size": row["size"], "name": row["name"]}
    known = {name: value for name, value in facts_of(row).items() if value is not None and name in SHOWN[type_]}
    if type_ == "voice":
        waveform = given.waveform if row["waveform"] is None else list(row["waveform"])
        known |= {} if waveform is None else {"waveform": waveform}
    return form | known


def facts_of(row: Row) -> Json:
    """The facts that depend on the kind of the file. `thumbnail` is true if there is one; its URL is not stored."""
    return {
        "width": row["width"],
        "height": row["height"],
        "duration": seconds(row["duration_ms"]),
        "thumbnail": None if row["thumbnail_size"] is None else True,
        "placeholder": text_of(row["placeholder"]),
    }


def usual_type(mime: str) -> str:
    kind = mime.partition("/")[0]
    return kind if kind in ("image", "video", "audio") else "file"


def fits(type_: str, mime: str) -> bool:
    if type_ in ("audio", "voice"):
        return mime.startswith("audio/") or mime in SOUND
    return type_ == "file" or usual_type(mime) == type_


def shown(stored: Any, files_url: str) -> list[Attachment]:
    """Attachments as members see them. They are not converted: the stored form is the wire form without the address."""
    return cast(list[Attachment], [with_address(one, files_url) for one in attachments_in(stored)])


def with_address(stored: Json, files_url: str) -> dict[str, Any]:
    if "upload" not in stored:
        return stored
    url = file_url(files_url, stored["upload"])
    return {**stored, "url": url, **({"thumbnail": thumbnail_url(url)} if stored.get("thumbnail") else {})}
