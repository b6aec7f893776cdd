"""The OpenAPI document is correct: what it allows is accepted, what it forbids is refused, responses match it.

schemathesis generates the examples from the document that the server returns, the same in each run.
"""

import uuid
from typing import Any

import schemathesis
import trio
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

from chatd.core.config import Config
from tests.admins import ANN, administered
from tests.support import Daemon, running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    positive_data_acceptance,
    negative_data_rejection,
]
# They stop the server, or put it out of work for the others; and those of tus, whose type of body and status 412
# schemathesis does not know (tests/uploads/test_resumable.py).
LEFT_OUT = (
    "admin.drain",
    "admin.maintenance",
    "upload.tus.append",
    "upload.tus.create",
    "upload.tus.delete",
)
# What no schema says: which cursor goes with which query; which links, emoji, zones, addresses, hosts and handles there
# are; what time it is; what this server takes as a reason; which texts differ but for spaces; how many bytes a text
# has, and which data of buttons differ.
BOT_TEXTS = ("$.handle", "$.picture_url", "$.url")
UNSAID: dict[str, str | tuple[str, ...]] = {
    "admin.ban": "$.address",
    "admin.bot.add": BOT_TEXTS,
    "admin.bot.update": BOT_TEXTS,
    "bot.commands.set": "$.commands",
    "admin.webhook.add": "$.url",
    "admin.webhook.edit": "$.url",
    "conversation.list": "$.cursor: expected the filters and the order of the page before",
    "message.search": "$.cursor: not a cursor of this query",
    "message.schedule": "$.at",
    "message.edit": "$.actions",
    "message.send": ("$.attachments", "$.actions"),
    "poll.create": ("$.options: expected options that differ", "$.closes_at"),
    "reaction.add": "$.emoji",
    "report.create": "$.reason",
    "schedule.edit": "$.at",
    "user.search": "$.cursor: not a cursor of this query",
    "user.settings": "$.quiet.zone",
    "user.update": ("$.time_zone", "$.handle"),
}
# How large a body may be is a setting.
TOO_LARGE = "the request body is too large"
# Nor which times are plausible: an integer schema of one range would leave out 0, which stands for no time.
PLAUSIBLE_TIME = "expected milliseconds since 1970"
# The simplest request, and one at random.
EXAMPLES = 2


def findings(daemon: Daemon) -> dict[str, str]:
    """Violations, by operation."""
    schema = schemathesis.openapi.from_url(f"{daemon.addresses.http}/openapi.json")
    found: dict[str, str] = {}
    for operation in (result.ok() for result in schema.get_all_operations()):
        name = operation.definition.raw["operationId"]
        if name in LEFT_OUT:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                check(daemon, operation, mode)
            except Unsatisfiable:
                # Nothing about this request can be wrong.
                assert mode is GenerationMode.NEGATIVE
            except BaseException as error:
                found[f"{name} {mode.value}"] = text_of(error)
    return found


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    return integral(body)


def integral(value: Any) -> Any:
    """Write whole numbers without a fraction, as clients do: JSON Schema does not distinguish them."""
    if isinstance(value, dict):
        return {name: integral(part) for name, part in value.items()}
    if isinstance(value, list):
        return [integral(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value


def text_of(error: BaseException) -> str:
    parts = getattr(error, "exceptions", None)
    return "\n".join(map(text_of, parts)) if parts else f"{type(error).__name__}: {error}"


def check(daemon: Daemon, operation: Any, mode: GenerationMode) -> None:
    """Some examples of an operation, sent by a separate user; raises on a violation."""
    is_admins = operation.path.startswith("/admin")
    token = ANN if is_admins else daemon.token(str(uuid.uuid4()))
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

    @seed(9)
    @settings(max_examples=EXAMPLES, database=None, phases=[Phase.generate], suppress_health_check=quiet)
    @given(case=operation.as_strategy(generation_mode=mode))
    def holds(case: Any) -> None:
        response = case.call(headers={"Authorization": f"Bearer {token}"}, timeout=10)
        unsaid = UNSAID.get(operation.definition.raw["operationId"])
        if response.status_code == 400:
            message = response.json()["message"]
            if PLAUSIBLE_TIME in message or (unsaid and message.startswith(unsaid)):
                return
        if response.status_code == 413 and response.json()["message"] == TOO_LARGE:
            return
        try:
            case.validate_response(response, checks=CHECKS)
        except BaseExceptionGroup as group:
            sent = {"path": case.path_parameters, "query": case.query, "body": case.body}
            raise AssertionError(
                f"{[str(one) for one in group.exceptions]}\n{sent}\n{response.status_code} {response.text}"
            ) from None

    holds()


async def test_openapi_matches_the_responses(config: Config) -> None:
    async with running(administered(config)) as daemon:
        found = await trio.to_thread.run_sync(findings, daemon)
        assert not found, "\n".join(f"{name}: {text}" for name, text in found.items())
