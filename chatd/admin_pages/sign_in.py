"""Signing in: the token of an admin, and a one-time code if the admin has set up codes.

The order keeps what is expensive behind what is cheap: limits in memory, then the lockout, then the token, then the
code. A form that was sent with an ended session is shown again after the sign-in, with what was typed.
"""

import secrets
from collections.abc import Mapping
from urllib.parse import parse_qsl

from msgspec import Struct
from quart import Response

from chatd.admin_pages import http_rules
from chatd.admin_pages.forms import MAX_FIELDS
from chatd.admin_pages.lockout import Lockout
from chatd.admin_pages.rendering import Templates
from chatd.admin_pages.sessions import AdminSessions
from chatd.admin_pages.totp import OneTimeCodes
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.app.context import Node
from chatd.app.rate_limits import AddressLimits
from chatd.core import log
from chatd.core.errors import Refused
from chatd.http.admin_tokens import Admins

LOG = log.get(__name__)
ATTEMPTS_PER_MINUTE = 30
SESSION, PRE_SESSION = "admin", "admin_sign_in"
PATH = "/admin/sign-in"


class Waiting(Struct, frozen=True):
    """Where to go after the sign-in. `action`: of a form that was not carried out; `kept`: its fields, as text."""

    back: str = "/admin"
    action: str = ""
    kept: str = ""

    @classmethod
    def read(cls, form: Mapping[str, str]) -> "Waiting":
        """Of the form of the sign-in."""
        return cls(http_rules.own_path(form.get("back", "")), form.get("action", "")[:64], form.get("kept", ""))

    @property
    def fields(self) -> dict[str, str]:
        """Raises Refused: `bad_request`."""
        if not self.kept:
            return {}
        try:
            return dict(parse_qsl(self.kept, keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError:
            raise Refused("bad_request", "too many fields") from None


class SignIn:
    """Signs admins in."""

    def __init__(self, node: Node, sessions: AdminSessions, codes: OneTimeCodes, templates: Templates) -> None:
        self._node = node
        self._admins = node.get(Admins)
        self._sessions, self._codes, self._templates = sessions, codes, templates
        self._lockout = Lockout(node.config, node.db)
        self._attempts = AddressLimits(ATTEMPTS_PER_MINUTE)

    async def page(self, waiting: Waiting, status: int = 200, error: str = "") -> Response:
        """The form. Its token belongs to a cookie of this browser."""
        pre_session = http_rules.read_cookie(PRE_SESSION) or secrets.token_urlsafe(16)
        values = {
            "waiting": waiting,
            "error": error,
            "form_token": self._sessions.form_token(pre_session),
            "can_sign_in": http_rules.can_keep_cookie(),
        }
        response = await self._templates.response("sign_in.html", values, status)
        http_rules.set_cookie(response, PRE_SESSION, pre_session)
        return response

    async def secret_for(self, form: Mapping[str, str], address: str) -> tuple[str, str]:
        """Check a form. Returns the admin, and the secret of a new session. Raises Refused."""
        http_rules.check_form_site()
        self._attempts.check(address)
        pre_session = http_rules.read_cookie(PRE_SESSION)
        if not pre_session or not self._sessions.is_form_token(pre_session, form.get("csrf", "")):
            raise Refused("forbidden", "The page was open for too long, or the browser refuses cookies. Try again.")
        await self._lockout.attempt_from(address)
        admin = self._admin_of(form.get("token", ""), address)
        await self._check_code(admin, form.get("code", ""))
        await self._lockout.forget_address(address)
        actor = AuditActor(self._admins.tenants_of(admin)[0], admin, self._node.clock())
        await audit_log.write(self._node.db, actor, "admin.sign_in", admin)
        LOG.info("an admin has signed in", extra={"admin": admin})
        return admin, await self._sessions.open(admin)

    def _admin_of(self, token: str, address: str) -> str:
        try:
            return self._admins.name_of(token.strip()[:4096], address)
        except Refused as refused:
            if refused.code == "unauthenticated":
                raise Refused("unauthenticated", "This is not the token of an admin.") from None
            raise

    async def _check_code(self, admin: str, code: str) -> None:
        if not await self._codes.is_set_up(admin):
            return
        if not code.strip():
            raise Refused("unauthenticated", "This admin needs a one-time code as well.")
        now = self._node.clock()
        if not await self._codes.accept(admin, code, now):
            raise Refused(
                "unauthenticated",
                f"This code is wrong, was used, or is too old. The time of this server is {utc(now)} UTC.",
            )


def utc(at: int) -> str:
    minutes = at // 60_000 % 1440
    return f"{minutes // 60:02}:{minutes % 60:02}"
