"""URLs that give access to a file without a token, for `<img>`, `<video>` and `<audio>`.

A URL is signed for one file or thumbnail of one tenant, until a time. Who may have it is decided when it is made; who
has it can read the file until then, unless the file is removed. All URLs of one file that are made within the same
period are equal, so that browsers find the file in their cache.
"""

import hmac
from base64 import urlsafe_b64encode
from enum import Enum
from urllib.parse import urlencode

from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.secrets import derived_key
from chatd.uploads.events import file_url, thumbnail_url
from chatd.uploads.settings import UploadSettings

# A file path ends with it.
SUFFIX = "/signed"


class Part(Enum):
    """What a URL gives access to."""

    FILE = "file"
    THUMBNAIL = "thumbnail"


class UrlSigner:
    """Signs and checks URLs, with a key that all nodes derive from `data.secret`."""

    def __init__(self, config: Config) -> None:
        self._key = derived_key(config.data.secret, "upload urls")
        self._public_url = config.http.public_url
        self._period_ms = round(config.get(UploadSettings).url_lifetime * 1000)

    def period(self, now: int) -> tuple[int, int]:
        """When the URLs that are made now are signed, and when they expire: in one to two periods."""
        begin = now - now % self._period_ms
        return begin, begin + 2 * self._period_ms

    def url(self, tenant: str, upload: str, part: Part, now: int) -> str:
        _, expires = self.period(now)
        url = file_url(self._public_url, upload)
        if part is Part.THUMBNAIL:
            url = thumbnail_url(url)
        fields = {"tenant": tenant, "expires": expires, "signature": self._signature(tenant, upload, part, expires)}
        return f"{url}{SUFFIX}?{urlencode(fields)}"

    def check(self, tenant: str, upload: str, part: Part, expires: str, signature: str, now: int) -> int:
        """Check a URL, and return its time left in milliseconds. Raises Refused: `forbidden`."""
        # The signature is first: an unsigned time says nothing.
        until = int(expires) if expires.isascii() and expires.isdigit() and len(expires) < 16 else 0
        expected = self._signature(tenant, upload, part, until)
        if not hmac.compare_digest(expected.encode(), signature.encode()) or expires != str(until):
            raise Refused("forbidden", "this URL is not valid: its signature is missing or does not match")
        if until <= now:
            raise Refused("forbidden", "this URL has expired: ask for another one")
        return until - now

    def _signature(self, tenant: str, upload: str, part: Part, expires: int) -> str:
        text = "\0".join((tenant, upload, part.value, str(expires)))
        return urlsafe_b64encode(hmac.digest(self._key, text.encode(), "sha256")).rstrip(b"=").decode()
