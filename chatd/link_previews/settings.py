"""Settings of link previews."""

from typing import Annotated

from msgspec import Meta

from chatd.core.config import Bytes, Count, Declaration, Duration, Section, Settings, doc


class LinkPreviewSettings(Section, frozen=True):
    enabled: Annotated[
        bool, doc("Request the pages of links in messages, and add their titles, descriptions and images.")
    ] = False
    images: Annotated[bool, doc("Add the URL of the image. Clients that load it show their address to its server.")] = (
        True
    )
    timeout: Annotated[Duration, doc("Seconds within which a page must be received, with all redirects.")] = 5.0
    max_bytes: Annotated[Bytes, doc("Maximum size of a page; a larger one gets no preview.")] = 1_048_576
    redirects: Annotated[int, Meta(ge=0, le=20), doc("Maximum redirects that are followed.")] = 3
    concurrency: Annotated[Count, doc("Maximum requests of this node at the same time.")] = 8
    per_user_per_minute: Annotated[
        Count, doc("Maximum pages that are requested for links of one user per minute; further links get no preview.")
    ] = 10
    per_host_per_minute: Annotated[
        Count, doc("Maximum pages that this node requests from one host per minute; further links get no preview.")
    ] = 60
    keep: Annotated[Duration, doc("Seconds for which a preview is used for further messages.")] = 86_400.0
    keep_failed: Annotated[Duration, doc("Seconds for which a page without a preview is not requested again.")] = 600.0
    allow_private: Annotated[
        bool, doc("Allow pages on private addresses, and on other ports than 80 and 443. For tests and intranets only.")
    ] = False


SETTINGS: tuple[Declaration, ...] = (Settings("link_previews", LinkPreviewSettings),)
