"""The security of one's own sign-in: one-time codes, and other sessions. Every role may use it."""

from collections.abc import Mapping

import segno
from quart import Response

from chatd.admin_pages import http_rules
from chatd.admin_pages.page import Page, PageRequest
from chatd.admin_pages.totp import text_of, uri_of
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor

PATH = "/admin/security"
# What the page says after a form, by the name in its address: a link shows no other text.
NOTICES = {
    "wrong-code": "This code is not right, or was used already. Nothing was changed.",
    "codes-added": "One-time codes are set up. The next sign-in needs one.",
    "codes-removed": "One-time codes are removed.",
    "others-ended": "The other sessions have ended.",
}
Form = Mapping[str, str]


async def security(page: PageRequest) -> Response:
    admin = page.scope.name
    is_set_up = await page.codes.is_set_up(admin)
    secret = None if is_set_up else await page.codes.pending(admin)
    return await page.render(
        "security.html",
        is_set_up=is_set_up,
        secret=None if secret is None else text_of(secret),
        picture=None if secret is None else picture_of(uri_of(secret, admin)),
        notice=NOTICES.get(page.argument("notice")),
    )


def picture_of(text: str) -> str:
    """A QR code as SVG, without styles."""
    return str(
        segno.make(text, error="m").svg_inline(scale=5, border=2, omitsize=False, title="QR code", svgclass="qr")
    )


async def begin(page: PageRequest, form: Form) -> Response:
    await page.codes.begin(page.scope.name)
    return see(page)


async def finish(page: PageRequest, form: Form) -> Response:
    """Confirm the secret with a code."""
    if not await page.codes.accept(page.scope.name, form.get("code", ""), page.now):
        return see(page, "wrong-code")
    await note(page, "admin.totp.add")
    return see(page, "codes-added")


async def remove(page: PageRequest, form: Form) -> Response:
    if not await page.codes.accept(page.scope.name, form.get("code", ""), page.now):
        return see(page, "wrong-code")
    await page.codes.remove(page.scope.name)
    await note(page, "admin.totp.remove")
    return see(page, "codes-removed")


async def end_others(page: PageRequest, form: Form) -> Response:
    await page.sessions.end_others(page.scope.name, page.secret)
    await note(page, "admin.sessions.end")
    return see(page, "others-ended")


async def note(page: PageRequest, act: str) -> None:
    actor = AuditActor(page.scope.tenant, page.scope.name, page.now)
    await audit_log.write(page.node.db, actor, act, page.scope.name)


def see(page: PageRequest, notice: str = "") -> Response:
    """Show the page, with one of `NOTICES`."""
    return Response("", 303, {**http_rules.HEADERS, "Location": page.link(PATH, notice=notice)})


PAGES = (Page(PATH, security),)
OWN_FORMS = {
    f"{PATH}/begin": begin,
    f"{PATH}/finish": finish,
    f"{PATH}/remove": remove,
    f"{PATH}/end-others": end_others,
}
