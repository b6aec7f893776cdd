"""What nodes say to each other. Arrays on the wire of the cluster, because most of it is for nobody here, and skipped."""

from msgspec import Raw, msgpack

from chatd.wire.messages import Control


class TellConversation(Control, array_like=True, tag="event"):
    """An event of a conversation; `rev` 0 when it has no place in the order. `event` is its body in msgpack."""

    tenant: str
    conversation: str
    rev: int
    but: str | None
    volatile: bool
    event: Raw


class TellBehind(Control, array_like=True, tag="behind"):
    """Something of the conversation up to `rev` may have been told to nobody."""

    tenant: str
    conversation: str
    rev: int


class TellUser(Control, array_like=True, tag="user"):
    """An event for all sessions of a user."""

    tenant: str
    user: str
    but: str | None
    event: Raw


class Joined(Control, array_like=True, tag="join"):
    """These users hear the conversation, from `rev` on."""

    tenant: str
    conversation: str
    users: list[str]
    rev: int


class Parted(Control, array_like=True, tag="part"):
    """These users hear the conversation no more."""

    tenant: str
    conversation: str
    users: list[str]


class CloseUser(Control, array_like=True, tag="close"):
    """Close the sessions of a user, all or those of one login."""

    tenant: str
    user: str
    close: str
    login: str | None


Order = TellConversation | TellBehind | TellUser | Joined | Parted | CloseUser
decode_order = msgpack.Decoder(Order).decode
encode_order = msgpack.Encoder().encode
