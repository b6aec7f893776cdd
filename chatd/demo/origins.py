"""The origins of the demo page, which may open a WebSocket although `gateway.origins` does not list them."""

from urllib.parse import urlsplit

from chatd.core.addresses import is_loopback
from chatd.core.config import Config
from chatd.demo.settings import is_served

LOOPBACK_NAMES = ("127.0.0.1", "localhost")


def origin_of(url: str) -> str:
    """The origin of a URL, as a browser writes it; of a WebSocket too."""
    parts = urlsplit(url)
    default = {"http": 80, "ws": 80, "https": 443, "wss": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" if parts.port in (None, default) else f"{parts.scheme}://{host}:{parts.port}"


def page_origins(config: Config) -> list[str]:
    """The origins under which browsers open the page: that of `http.public_url`, and on this machine both names."""
    if not is_served(config):
        return []
    url = urlsplit(config.http.public_url)
    origins = [origin_of(config.http.public_url)]
    if is_loopback(url.hostname or ""):
        origins += [origin_of(f"{url.scheme}://{name}:{url.port or 80}") for name in LOOPBACK_NAMES]
    return list(dict.fromkeys(origins))
