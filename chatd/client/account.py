"""Signs up over HTTP, and refreshes the tokens of an account."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from chatd.client.wire_base import refusal
from chatd.core.errors import Refused

TIMEOUT = 15.0


class Account:
    """The tokens of one user. `changed` is called with this account after each refresh, so that it can be stored."""

    def __init__(self, http: str, user: str, access_token: str, refresh_token: str) -> None:
        self.http = http
        self.user = user
        self.access_token = access_token
        self.refresh_token = refresh_token
        self.changed: Callable[[Account], None] = lambda account: None
        self._rotating = trio.Lock()

    async def refresh(self, stale: str) -> str:
        """A new access token instead of `stale`; concurrent callers get the same one. Raises Refused."""
        async with self._rotating:
            if self.access_token == stale:
                # Uncancellable: the old refresh token is used up, and reusing it later revokes the login, so the new
                # one must be kept.
                with trio.CancelScope(shield=True):
                    tokens = await post(self.http, "/v1/auth/refresh", {"refresh_token": self.refresh_token})
                self.access_token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]
                self.changed(self)
        return self.access_token


class ProvidedAccount(Account):
    """An account whose access tokens your own backend or an identity provider issues.

    `fetch` returns a valid one, such as from a session at the provider that it renews. It is called for the first
    connection, and whenever the server needs a new token. It raises OSError if it cannot get one at the moment, which
    is tried again; other exceptions end the client.
    """

    def __init__(self, http: str, fetch: Callable[[], Awaitable[str]]) -> None:
        super().__init__(http, "", "", "")
        self._fetch = fetch

    async def refresh(self, stale: str) -> str:
        """A new access token instead of `stale`; concurrent callers get the same one."""
        async with self._rotating:
            if self.access_token == stale:
                self.access_token = await self._fetch()
                self.changed(self)
        return self.access_token


async def sign_up(
    http: str,
    *,
    name: str | None = None,
    device: str | None = None,
    tenant: str = "default",
    login_name: str | None = None,
    platform: str | None = None,
) -> Account:
    """Sign up anonymously; the same `device` is the same user again. Raises Refused, OSError.

    The user sees `login_name` and `platform` in the list of logins.
    """
    optional = {"name": name, "device": device, "login_name": login_name, "platform": platform}
    fields = {"tenant": tenant} | {field: value for field, value in optional.items() if value}
    tokens = await post(http, "/v1/auth/anonymous", fields)
    return Account(http, tokens["user"], tokens["access_token"], tokens["refresh_token"])


async def post(http: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """One request. Raises Refused, or OSError if the server does not answer."""
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    return await trio.to_thread.run_sync(post_blocking, http.rstrip("/") + path, data, headers, abandon_on_cancel=True)


def post_blocking(url: str, data: bytes, headers: dict[str, str], timeout: float = TIMEOUT) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"expected an http or https URL: {url}")
    request = urllib.request.Request(url, data, headers, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise refused(error.read()) from None
    except (http.client.HTTPException, ValueError, TypeError) as error:
        raise OSError(f"{url} does not answer like a chatd server: {error}") from error


def refused(body: bytes) -> Refused:
    """The refusal in the body of an error response."""
    try:
        return refusal(json.loads(body))
    except (ValueError, KeyError, TypeError):
        return Refused("unavailable", "the response is not from a chatd server")
