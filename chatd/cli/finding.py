"""A line of the reports of `chatd check` and `chatd doctor`."""

from msgspec import Struct


class Finding(Struct):
    """`fix` says what to do about it; `code` is what scripts know it by, and does not change.

    `ok` is false for what is wrong. With `warn` it is not wrong, but worth a look.
    """

    what: str
    ok: bool
    detail: str
    fix: str = ""
    code: str = ""
    warn: bool = False

    @property
    def state(self) -> str:
        if not self.ok:
            return "fail"
        return "warn" if self.warn else "ok"
