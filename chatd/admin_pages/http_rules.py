"""What every response of the pages has, and which requests they accept.

Nothing of the pages is stored by a cache or shown in a frame. Scripts and styles are files of the pages only, so markup
in a name could not run even if a template did not escape it.
"""

from quart import Response, request

from chatd.core.addresses import is_loopback, name_of, parse
from chatd.core.errors import Refused
from chatd.http.admin import check_site

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # With `no-referrer` browsers send forms with `Origin: null`, which does not say that they are of these pages.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MAX_PATH = 2000


def is_on_own_machine() -> bool:
    """Whether the browser reached the pages under a name of its own machine, where it needs no TLS."""
    return is_loopback(name_of(request.headers.get("Host", "")))


def cookie_name(name: str) -> str:
    """A cookie that needs HTTPS has a prefix which no other host and no page without TLS can set (RFC 6265bis)."""
    return f"chatd_{name}" if is_on_own_machine() else f"__Host-chatd_{name}"


def read_cookie(name: str) -> str:
    return str(request.cookies.get(cookie_name(name), ""))[:200]


def set_cookie(response: Response, name: str, value: str) -> None:
    """Set a cookie for this browser session; an empty value removes it. It has no date, so the browser's clock does not
    matter.
    """
    response.set_cookie(
        cookie_name(name),
        value,
        max_age=None if value else 0,
        path="/",
        secure=not is_on_own_machine(),
        httponly=True,
        samesite="Strict",
    )


def check_form_site() -> None:
    """Refuse forms of other sites, and forms of which the browser says no origin. Raises Refused: `forbidden`.

    Browsers send Origin with every form, and those that know Fetch Metadata send that too. Referer does not count: a
    browser may leave it out, and a page may forbid it.
    """
    check_site()
    if not {"Sec-Fetch-Site", "Origin"} & {name for name, _ in request.headers}:
        raise Refused("forbidden", "your browser does not say which page has sent this form; use a newer one")


def own_path(text: str) -> str:
    """The path of a page, to which a form may return; "/admin" for anything else."""
    is_path = text.startswith("/admin") and text[6:7] in ("", "/", "?") and len(text) <= MAX_PATH
    is_plain = text.isascii() and text.isprintable() and not set(text) & set('\\"<> ') and "//" not in text
    return text if is_path and is_plain else "/admin"


def can_keep_cookie() -> bool:
    """Whether the browser keeps the session cookie. Without TLS it does on its own machine only; a proxy that ends TLS
    cannot be told from none, so a host that is no address is given the benefit of the doubt.
    """
    return is_on_own_machine() or parse(name_of(request.headers.get("Host", ""))) is None
