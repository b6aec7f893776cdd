"""The preview of a page, as it is stored and shown."""

from msgspec import UNSET, Struct, UnsetType

MAX_TITLE, MAX_DESCRIPTION, MAX_SITE_NAME = 200, 500, 100


class LinkPreview(Struct, kw_only=True, frozen=True):
    """What the page of the first link in a message says about itself. `url`: the link, as it is in the message.

    `image` is an address outside of this server: a client that loads it shows its own address to that server.
    """

    url: str
    title: str
    description: str | UnsetType = UNSET
    site_name: str | UnsetType = UNSET
    image: str | UnsetType = UNSET
