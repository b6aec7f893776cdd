"""What came from the server, with fields as attributes. Fields that this version does not know are kept."""

from collections.abc import Mapping
from typing import Any

from chatd.errors import REFUSALS, Refused


class Reply(dict[str, Any]):
    """`reply.conversation.id` is `reply["conversation"]["id"]`."""

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError:
            raise AttributeError(f"{self.get('t', 'the answer')} has no {name!r}") from None
        return wrap(value)


def wrap(value: Any) -> Any:
    if isinstance(value, dict):
        return Reply(value)
    return [wrap(item) for item in value] if isinstance(value, list) else value


def refusal(error: Mapping[str, Any]) -> Refused:
    """An error as the exception it stands for; a code that this version does not know counts as `internal`."""
    code = error["code"] if error["code"] in REFUSALS else "internal"
    return Refused(code, error["message"], retry_after=error.get("retry_after"), details=error.get("details"))
