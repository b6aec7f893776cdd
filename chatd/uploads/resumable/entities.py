"""An upload in parts, as it is stored."""

from dataclasses import dataclass

from chatd.db.postgres import Row


@dataclass(frozen=True, slots=True)
class Resumable:
    """An upload in parts. `received`: the bytes that are stored; `metadata`: as the client gave it."""

    tenant: str
    id: str
    length: int
    received: int
    metadata: str
    is_done: bool
    expires_at: int

    @classmethod
    def of(cls, tenant: str, row: Row) -> "Resumable":
        is_done = row["state"] == "done"
        return cls(tenant, row["id"], row["length"], row["received"], row["metadata"], is_done, row["expires_at"])
