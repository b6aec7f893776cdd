"""Settings of the pages for admins."""

from typing import Annotated

from chatd.core.config import Declaration, Duration, Host, Port, Section, Settings, doc


class AdminPagesSettings(Section, frozen=True):
    enabled: Annotated[
        bool, doc("Serve the pages at /admin on a port of their own. Without an admin there are none.")
    ] = True
    host: Annotated[
        Host,
        doc("Address that the port of the admin pages binds to."),
        doc("Use another one than loopback only behind a proxy with TLS: the session cookie needs HTTPS."),
    ] = "127.0.0.1"
    port: Annotated[Port, doc("Port of the admin pages; 0 lets the operating system choose.")] = 8082
    idle_timeout: Annotated[Duration, doc("Seconds without a request after which an admin has to sign in again.")] = (
        1800.0
    )
    session_ttl: Annotated[Duration, doc("Seconds after which an admin has to sign in again in any case.")] = 43_200.0
    require_totp: Annotated[bool, doc("Admins must set up one-time codes before they can use the pages.")] = False


SETTINGS: tuple[Declaration, ...] = (Settings("admin_pages", AdminPagesSettings),)
