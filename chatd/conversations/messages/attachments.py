"""Attachments, from what a client names to what is stored and what is shown.

Stored are the type and the facts of the upload, copied when the message is accepted. The address is not stored: it
depends on the public URL of this server, and is added when the message is read.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from chatd.app.context import Ctx
from chatd.conversations.attachment_types import Attachment, AttachmentInput, attachments_in
from chatd.conversations.entities import Json
from chatd.core.addresses import parse
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.uploads.events import PATH

SQL = queries.load("conversations/attachments")
# A scheme, an authority, and no character that ends a link or hides its target: spaces, controls, backslashes, quotes,
# brackets.
WEB_URL = re.compile(r"https?://([^\s\\<>\"`{}|^/?#]+)(?:[/?#][^\s\\<>\"`{}|^]*)?", re.IGNORECASE)
# An IPv6 address in brackets, or a name; then the port.
PLACE = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([^\[\]:%!$&'()*+,;=]+))(?::([0-9]{0,5}))?", re.IGNORECASE)
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
    if (given.upload is None) == (given.url is None):
        raise Refused("bad_request", f"{path}: expected either upload or url")
    if given.url is None:
        if given.type == "link":
            raise Refused("bad_request", f"{path}: expected the url of the link, not an upload")
    elif given.type not in (None, "link"):
        raise Refused("bad_request", f"{path}: only a link has a url; a file has an upload")
    elif not is_web_url(given.url):
        raise Refused("bad_request", f"{path}.url: expected an http or https address")


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
        return {"type": "link", "url": given.url}
    row = facts[given.upload]
    type_ = given.type or usual_type(row["mime"])
    if not fits(type_, row["mime"]):
        raise Refused(
            "bad_request", f"{path}.type: the upload is {row['mime']}; send it as {usual_type(row['mime'])} or file"
        )
    form = {"type": type_, "upload": given.upload, "mime": row["mime"], "size": row["size"], "name": row["name"]}
    if row["width"] is not None:
        form |= {"width": row["width"], "height": row["height"]}
    return form


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
    return {**stored, "url": f"{files_url}{PATH}/{stored['upload']}"} if "upload" in stored else stored
