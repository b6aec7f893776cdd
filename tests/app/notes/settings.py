"""The settings, and their check by `chatd check`."""

import sys
from collections.abc import Iterable, Iterator
from typing import Annotated

from chatd.app.checks import Finding
from chatd.core.config import Config, Count, Section, Settings, doc

MAX_SENSIBLE_NOTES = 1000


class NoteSettings(Section, frozen=True):
    max_notes: Annotated[Count, doc("Maximum notes of one sender.")] = 100


SETTINGS = (Settings("notes", NoteSettings),)


def check_settings(config: Config) -> Iterator[Finding]:
    most = config.get(NoteSettings).max_notes
    detail = f"at most {most} notes of one sender"
    yield Finding(
        "notes", most <= MAX_SENSIBLE_NOTES, detail, f"set notes.max_notes to at most {MAX_SENSIBLE_NOTES}", "notes"
    )


async def check(config: Config) -> Iterable[Finding]:
    return [Finding("notes interpreter", True, sys.executable, code="notes.interpreter")]
