"""Settings of the demo page."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from chatd.accounts.settings import AuthSettings
from chatd.core.addresses import is_loopback
from chatd.core.config import Config, Declaration, Section, Settings, doc


class DemoSettings(Section, frozen=True):
    demo: Annotated[
        Literal["auto", "on", "off"],
        doc("Serve the demo page at / and its files at /demo. Guests sign up there with a name."),
        doc("auto: if guests can sign up and chatd is reached under addresses of this machine only."),
    ] = "auto"


def is_local(config: Config) -> bool:
    """Whether no setting says that others than the users of this machine reach the daemon. The public URLs are those
    that the daemon has set to the bound addresses.
    """
    urls = (config.http.public_url, config.gateway.public_url)
    return not config.gateway.trusted_proxies and all(is_loopback(urlsplit(url).hostname or "") for url in urls)


def is_served(config: Config) -> bool:
    """Whether the daemon has the demo page. With `auto`, only requests to a loopback host get it, too."""
    choice = config.get(DemoSettings).demo
    return choice == "on" or (choice == "auto" and config.get(AuthSettings).anonymous and is_local(config))


SETTINGS: tuple[Declaration, ...] = (Settings("http", DemoSettings),)
