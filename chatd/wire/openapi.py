"""OpenAPI 3.1 of the commands that have a place in REST."""

from typing import Any
def openapi(rows: Any, version: str) -> dict[str, Any]:
    return {}
