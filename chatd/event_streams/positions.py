"""Positions in the frames of a session: what clients send as `after` or `Last-Event-ID`."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from chatd.core.errors import Refused
from chatd.core.ids import text_of

# The node, the session, and the number of a frame.
FORM = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{22})\.(0|[1-9][0-9]{0,15})")


class Position(NamedTuple):
    """The frames up to `number` are known. `node`: the node that has the session."""

    node: str
    session: str
    number: int

    @classmethod
    def read(cls, text: str) -> "Position":
        """Raises Refused: `bad_request`."""
        match = FORM.fullmatch(text)
        if match is None:
            raise Refused("bad_request", "$.after: expected a position from /v1/events")
        return cls(long_id(match[1]), long_id(match[2]), int(match[3]))


def prefix_of(node: str, session: str) -> bytes:
    """A position in this session, up to the number."""
    return f"{short_id(node)}.{short_id(session)}.".encode()


def short_id(id_: str) -> str:
    """An id in 22 characters."""
    return urlsafe_b64encode(bytes.fromhex(id_.replace("-", ""))).decode().rstrip("=")


def long_id(text: str) -> str:
    """The id with this short form."""
    return text_of(urlsafe_b64decode(f"{text}=="))
