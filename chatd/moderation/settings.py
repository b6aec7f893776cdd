"""Settings of moderation."""

from typing import Annotated

from msgspec import Meta, field

from chatd.core.config import Count, Declaration, Seconds, Section, Settings, doc

# A number of strikes and the duration of the ban: "3:1d", "8:ever".
EscalationStep = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}:([1-9][0-9]{0,4}[smhd]|ever)\Z")]
REASONS = ["spam", "abuse", "sexual", "minor", "violence", "other"]
DEFAULT_ESCALATION = ["3:1d", "5:7d", "8:ever"]


class ModerationSettings(Section, frozen=True):
    reasons: Annotated[list[str], doc("Reasons that users can choose for a report.")] = field(
        default_factory=REASONS.copy
    )
    reports_per_hour: Annotated[Count, doc("Maximum reports of one user within an hour.")] = 10
    evidence_messages: Annotated[
        Count, doc("Maximum messages kept with a report as evidence, nearest to the reported message.")
    ] = 50
    evidence_bytes: Annotated[Count, doc("Maximum size of that evidence, in bytes.")] = 65_536
    keep_reports: Annotated[Seconds, doc("Seconds for which a resolved report is kept, with its evidence.")] = (
        15_552_000.0
    )
    strikes: Annotated[
        list[EscalationStep],
        doc(
            'Ban durations by number of strikes (s, m, h, d): "3:1d" means one day from the third strike on; '
            '"ever" is permanent.'
        ),
    ] = field(default_factory=DEFAULT_ESCALATION.copy)
    strike_ttl: Annotated[
        Seconds, doc("Seconds after which a strike no longer counts; 0 means that it always counts.")
    ] = 7_776_000.0


SETTINGS: tuple[Declaration, ...] = (Settings("moderation", ModerationSettings),)
