"""The application of the pages: the routes, and what is checked before one of them is carried out.

Without a session no route runs but the sign-in and the static files (`_show`, `_checked_form`). A form also needs its
token, and must come from these pages. Commands check the role once more, as for the admin API.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from urllib.parse import parse_qsl, urlencode

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from chatd.admin_pages import http_rules, sign_in
from chatd.admin_pages.commands import AdminCommands
from chatd.admin_pages.forms import MAX_FIELDS, Action, bound
from chatd.admin_pages.page import TENANT, Page, PageRequest
from chatd.admin_pages.rendering import Templates
from chatd.admin_pages.sessions import AdminSessions
from chatd.admin_pages.settings import AdminPagesSettings
from chatd.admin_pages.sign_in import SESSION, SignIn, Waiting
from chatd.admin_pages.static_files import StaticFiles
from chatd.admin_pages.totp import OneTimeCodes
from chatd.app.context import Node
from chatd.core import log
from chatd.core.addresses import parse_networks
from chatd.core.errors import Refused
from chatd.http.admin import is_own_host, own_names
from chatd.http.admin_tokens import Admins
from chatd.http.app import Route
from chatd.http.asgi_guard import AsgiGuard
from chatd.http.body_flow import BODY_FLOW
from chatd.http.responses import answer_of
from chatd.http.rest import request_address
from chatd.wire.base import error_of

LOG = log.get(__name__)
MAX_BODY_BYTES = 262_144
# Headings of error pages, by status.
HEADINGS = {
    400: "This form is not complete",
    403: "Not allowed",
    404: "Not found",
    405: "Not found",
    409: "It has changed in the meantime",
    413: "This form is too large",
    429: "Too many requests",
    503: "Not available at present",
}
ENDED = "Your session has ended. Sign in, and your form is shown again with what you have typed."
NOT_SENT = "Your session had ended. Nothing was done yet: check the form, and send it again."
LOST = "You are signed in, and your form was not sent."
TOO_OLD = "The form was too old. Nothing was done: check it, and send it again."
SECURITY = "/admin/security"
Handler = Callable[..., Awaitable[Response]]


class AdminPages:
    """The pages of this node."""

    def __init__(
        self, node: Node, pages: Iterable[Page], actions: Iterable[Action], own_forms: Mapping[str, Handler]
    ) -> None:
        self.node = node
        self.templates, self.commands = Templates(), AdminCommands(node)
        rows = self.commands.rows
        self.pages = tuple(pages)
        self.actions = {action.name: bound(action, rows[action.command].command) for action in actions}
        self._own_forms = own_forms
        self.sessions = AdminSessions(node.config, node.db)
        self.codes = OneTimeCodes(node.config, node.db)
        self._admins = node.get(Admins)
        self._sign_in = SignIn(node, self.sessions, self.codes, self.templates)
        self._proxies = parse_networks(node.config.gateway.trusted_proxies)
        self._require_codes = node.config.get(AdminPagesSettings).require_totp

    def application(self) -> AsgiGuard:
        app = QuartTrio("chatd.admin_pages", static_folder=None)
        app.url_rule_class = Route
        app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
        app.config["BODY_TIMEOUT"] = self.node.config.http.body_timeout
        app.url_map.merge_slashes = False
        self._add_rules(app)
        self._add_errors(app)
        names = own_names(self.node.config.http.admin_hosts)

        @app.before_request
        async def check_host() -> Response | None:
            if is_own_host(request.headers.get("Host", ""), names):
                return None
            return Response("This host name is not in http.admin_hosts.", 403, http_rules.HEADERS)

        config = self.node.config
        return AsgiGuard(app, config.gateway.public_url, config.http.max_body_bytes)

    def _add_rules(self, app: QuartTrio) -> None:
        def add(path: str, view: Handler, *methods: str) -> None:
            app.add_url_rule(path, f"{methods} {path}", view, methods=methods, provide_automatic_options=False)

        add("/admin/static/<path:name>", StaticFiles().view, "GET")
        add(sign_in.PATH, self._show_sign_in, "GET")
        add(sign_in.PATH, self._do_sign_in, "POST")
        add("/admin/sign-out", self._do_sign_out, "POST")
        add("/", self._go_to_pages, "GET")
        for page in self.pages:
            add(page.path, partial(self._show, page), "GET")
        for action in self.actions.values():
            add(action.path, partial(self._act, action), "POST")
        for path, view in self._own_forms.items():
            add(path, partial(self._act_on_oneself, view), "POST")

    def _add_errors(self, app: QuartTrio) -> None:
        @app.errorhandler(HTTPException)
        async def known(error: HTTPException) -> Response:
            return await self.error_page(error.code or 400, error.name)

        @app.errorhandler(Refused)
        async def refused(error: Refused) -> Response:
            return await self.error_page(error.row.status, text_of(error))

        @app.errorhandler(Exception)
        async def unknown(error: Exception) -> Response:
            LOG.error("a page failed", exc_info=error, extra={"path": request.path})
            return await self.error_page(500, "This is a fault of chatd; it is in the log.")

    async def error_page(self, status: int, message: str, request_: PageRequest | None = None) -> Response:
        values = {"page": request_, "heading": HEADINGS.get(status, "It did not work"), "message": message}
        return await self.templates.response("error.html", values, status)

    # --- sessions ---------------------------------------------------------------------------------------------------

    async def _go_to_pages(self) -> Response:
        return see_other("/admin")

    async def _show_sign_in(self) -> Response:
        back = http_rules.own_path(str(request.args.get("back", "")))
        if await self._current() is not None:
            return see_other(back)
        return await self._sign_in.page(Waiting(back))

    async def _do_sign_in(self) -> Response:
        form = await read_form()
        waiting = Waiting.read(form)
        try:
            admin, secret = await self._sign_in.secret_for(form, request_address(self._proxies))
        except Refused as refused:
            return await self._sign_in.page(waiting, refused.row.status, text_of(refused))
        await self.sessions.end(http_rules.read_cookie(SESSION))
        response = await self._after_sign_in(admin, secret, waiting)
        http_rules.set_cookie(response, SESSION, secret)
        http_rules.set_cookie(response, sign_in.PRE_SESSION, "")
        return response

    async def _after_sign_in(self, admin: str, secret: str, waiting: Waiting) -> Response:
        """The form that waits for the sign-in, or the page that was wanted."""
        action = self.actions.get(waiting.action)
        if action is None:
            return see_other(waiting.back)
        try:
            fields = waiting.fields
            current = await self._request_of(admin, secret, fields.get(TENANT, ""))
            return await self._form_again(current, action, fields, NOT_SENT)
        except Refused as refused:
            own = await self._request_of(admin, secret, "")
            return await self.error_page(refused.row.status, f"{LOST} {readable(action, refused.message)}", own)

    async def _do_sign_out(self) -> Response:
        http_rules.check_form_site()
        secret, form = http_rules.read_cookie(SESSION), await read_form()
        if secret and self.sessions.is_form_token(secret, form.get("csrf", "")):
            await self.sessions.end(secret)
        response = see_other(sign_in.PATH)
        http_rules.set_cookie(response, SESSION, "")
        return response

    async def _current(self, tenant: str = "", *, touch: bool = True) -> PageRequest | None:
        """The request of the session in the cookie; None if there is none."""
        secret = http_rules.read_cookie(SESSION)
        found = await self.sessions.find(secret, touch=touch)
        return None if found is None else await self._request_of(found.admin, secret, tenant)

    async def _request_of(self, admin: str, secret: str, tenant: str) -> PageRequest:
        """Raises Refused: `not_found` for a tenant that the admin does not administer."""
        tenants = tuple(self._admins.tenants_of(admin))
        scope = self._admins.scope_of(admin, tenant or tenants[0])
        return PageRequest(
            node=self.node,
            scope=scope,
            tenants=tenants,
            address=request_address(self._proxies),
            now=self.node.clock(),
            secret=secret,
            commands=self.commands,
            sessions=self.sessions,
            codes=self.codes,
            site=self.pages,
            actions=self.actions,
            make=self.templates.response,
        )

    # --- pages and forms --------------------------------------------------------------------------------------------

    async def _show(self, page: Page, **path: str) -> Response:
        current = await self._current(str(request.args.get(TENANT, "")), touch=page.counts_as_use)
        if current is None:
            if not page.counts_as_use:
                return answer_of(error_of(Refused("unauthenticated")))
            back = request.full_path.rstrip("?")
            return see_other(f"{sign_in.PATH}?{urlencode({'back': back})}")
        if not current.has_role(page.needs(self.commands)):
            return await self.error_page(403, f"This page needs the role {page.needs(self.commands)}.", current)
        if await self._lacks_codes(current) and page.path != SECURITY:
            return see_other(SECURITY)
        try:
            return await page.view(current, **path)
        except Refused as refused:
            return await self.error_page(refused.row.status, text_of(refused), current)

    async def _lacks_codes(self, current: PageRequest) -> bool:
        """Whether the admin has to set up one-time codes first."""
        return self._require_codes and not await self.codes.is_set_up(current.scope.name)

    async def _checked_form(self, action: str) -> tuple[PageRequest, dict[str, str]] | Response:
        """The request and the form of a POST; or the sign-in, if the session has ended. Raises Refused."""
        http_rules.check_form_site()
        form = await read_form()
        current = await self._current(form.get(TENANT, ""))
        if current is None:
            back = http_rules.own_path(form.get("back", ""))
            fields = {name: text for name, text in form.items() if name != "csrf"}
            waiting = Waiting(back, action, urlencode(fields)) if action else Waiting(back)
            return await self._sign_in.page(waiting, 401, ENDED if action else "")
        return current, form

    async def _act(self, action: Action) -> Response:
        checked = await self._checked_form(action.name)
        if isinstance(checked, Response):
            return checked
        current, form = checked
        if not current.may(action.command):
            return await self.error_page(
                403, f"This needs the role {self.commands.rows[action.command].role}.", current
            )
        if await self._lacks_codes(current):
            return see_other(SECURITY)
        if not self.sessions.is_form_token(http_rules.read_cookie(SESSION), form.get("csrf", "")):
            return await self._form_again(current, action, form, TOO_OLD, 403)
        if wrong := action.missing(form):
            return await self._form_again(current, action, form, wrong, 400)
        try:
            result = await current.run(action.command, **action.build(action.fields, form))
        except Refused as refused:
            status = refused.row.status
            return await self._form_again(current, action, form, readable(action, refused.message), status)
        back = http_rules.own_path(form.get("back", ""))
        if action.shows:
            return await current.render(action.template, action=action, result=result, back=back, values=form)
        return see_other(with_query(back, done=action.name))

    async def _form_again(
        self, current: PageRequest, action: Action, values: Mapping[str, str], message: str, status: int = 200
    ) -> Response:
        """The form with what was typed, and why it was not carried out."""
        back = http_rules.own_path(values.get("back", ""))
        return await current.render("form.html", status, action=action, values=values, message=message, back=back)

    async def _act_on_oneself(self, view: Handler) -> Response:
        checked = await self._checked_form("")
        if isinstance(checked, Response):
            return checked
        current, form = checked
        if not self.sessions.is_form_token(http_rules.read_cookie(SESSION), form.get("csrf", "")):
            raise Refused("forbidden", TOO_OLD)
        try:
            return await view(current, form)
        except Refused as refused:
            return await self.error_page(refused.row.status, text_of(refused), current)


async def read_form() -> dict[str, str]:
    """The fields of the form in the request; of those that occur twice, all values in lines. Raises Refused."""
    if request.mimetype != "application/x-www-form-urlencoded":
        raise Refused("bad_request", "expected a form")
    request.scope["state"][BODY_FLOW].take_all()
    form = await request.form
    if len(form) > MAX_FIELDS:
        raise Refused("bad_request", "too many fields")
    return {name: "\n".join(texts) for name, texts in form.lists()}


def text_of(refused: Refused) -> str:
    """What a page says about a refusal: why, and when to try again."""
    wait = f". Try again in {round(refused.retry_after)} seconds." if refused.retry_after else ""
    return f"{refused.message.rstrip('.')}{wait}" if wait else refused.message


def readable(action: Action, message: str) -> str:
    """A refusal with the label of a field in the place of its path."""
    path, colon, rest = message.partition(": ")
    name = path.removeprefix("$.").partition(".")[0].partition("[")[0]
    label = next((one.label for one in action.fields if one.name == name and one.label), "")
    if label and colon:
        return f"{label}: {rest}"
    return message[2:].lstrip(": ").capitalize() if message.startswith("$") else message


def see_other(path: str) -> Response:
    """Answer a form with a page, so that reloading it does not send the form again."""
    return Response("", 303, {**http_rules.HEADERS, "Location": path})


def with_query(path: str, **parts: str) -> str:
    """A path with these parts of the query in the place of those of the same name."""
    before, _, query = path.partition("?")
    return f"{before}?{urlencode(dict(parse_qsl(query)) | parts)}"
