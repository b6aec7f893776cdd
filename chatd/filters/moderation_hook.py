"""The moderation hook: a service of the operator that checks a message before it is stored. docs/filters.md has its
contract.

Each message is sent to the hook once. Requests of different users do not wait for each other: there is a connection for
each request that may wait. A hook that keeps failing is paused for a while, and the configuration decides what happens
without its answer.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
from msgspec import Struct

from chatd.core.circuit_breaker import Circuit
from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.core.secrets import MIN_SECRET_BYTES
from chatd.db.http_client import Outbound, OutboundError, check_url, open_outbound
from chatd.filters.settings import HookSettings

MAX_REASON_LENGTH = 200


class Question(Struct, frozen=True):
    """The body of the request, as JSON."""

    tenant: str
    conversation: str
    kind: str
    sender: str
    text: str | None
    attachments: list[dict[str, Any]]
    reply_to: str | None
    meta: dict[str, Any] | None
    client_id: str
    actions: list[list[dict[str, Any]]] = []
    event: str = "message.before"


class Verdict(Struct, frozen=True):
    """The body of the response. `text`: the text to store instead."""

    allow: bool
    reason: str | None = None
    text: str | None = None


READ = msgspec.json.Decoder(Verdict).decode


class Hook:
    """The client of the hook. Opened by `open_hook`."""

    def __init__(
        self, settings: HookSettings, outbound: Outbound, most_text: int, clock: Callable[[], int], circuit: Circuit
    ) -> None:
        self._settings = settings
        self._outbound = outbound
        self._most_text = most_text
        self._clock = clock
        self._circuit = circuit
        self._condition = Condition("moderation hook", quiet_s=1.0)
        self._waiting = 0

    async def ask(self, question: Question) -> str | None:
        """The text to store. Raises Refused: `forbidden` if the hook rejects it, `unavailable` without a verdict."""
        verdict = await self._verdict(question)
        if verdict is None:
            if self._settings.on_failure == "reject":
                raise Refused("unavailable", "messages cannot be checked at the moment: try again later", retry_after=1)
            return question.text
        if not verdict.allow:
            raise Refused("forbidden", "the moderation service has rejected the message", details=details_of(verdict))
        return question.text if verdict.text is None else verdict.text

    async def _verdict(self, question: Question) -> Verdict | None:
        """The verdict of the hook; None if the hook gave none."""
        if self._waiting >= self._settings.max_waiting:
            self._condition.fail(f"{self._waiting} messages are waiting for the hook")
            return None
        if not self._circuit.may_ask(trio.current_time()):
            return None
        self._waiting += 1
        try:
            verdict = await self._post(msgspec.json.encode(question))
        except (OutboundError, ValueError, msgspec.MsgspecError, RecursionError) as error:
            self._circuit.failed(trio.current_time())
            self._condition.fail(error)
            return None
        finally:
            self._waiting -= 1
        self._circuit.answered()
        self._condition.recover()
        return verdict

    async def _post(self, body: bytes) -> Verdict:
        settings = self._settings
        stamp = self._clock() // 1000
        headers = {"Content-Type": "application/json", "X-Chatd-Signature": signature(settings.secret, stamp, body)}
        answer = await self._outbound.ask("POST", settings.url, timeout=settings.timeout, headers=headers, body=body)
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}")
        return self._checked(READ(answer.body))

    def _checked(self, verdict: Verdict) -> Verdict:
        """Check the text in a verdict. Raises ValueError for a text that cannot be stored."""
        text = verdict.text
        if text is not None and (not text or "\0" in text or len(text.encode()) > self._most_text):
            raise ValueError("the text in the answer cannot be stored")
        return verdict


def signature(secret: str, stamp: int, body: bytes) -> str:
    """The value of X-Chatd-Signature."""
    code = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={code}"


def details_of(verdict: Verdict) -> dict[str, Any]:
    details: dict[str, Any] = {"filter": "hook"}
    return details | ({"reason": verdict.reason[:MAX_REASON_LENGTH]} if verdict.reason else {})


def check_settings(settings: HookSettings) -> None:
    """Check the settings of the hook. Raises ValueError."""
    try:
        check_url(settings.url, ("https", "http") if settings.allow_private else ("https",))
    except ValueError as error:
        raise ValueError(f"hook.url: {error}") from None
    if len(settings.secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"hook.secret must have at least {MIN_SECRET_BYTES} bytes")


@asynccontextmanager
async def open_hook(
    settings: HookSettings, most_text: int, clock: Callable[[], int], circuit: Circuit | None = None
) -> AsyncIterator[Hook]:
    """Open the client, with a connection for each message that may wait."""
    async with open_outbound(private=settings.allow_private, connections=settings.max_waiting) as outbound:
        yield Hook(settings, outbound, most_text, clock, circuit or Circuit())
