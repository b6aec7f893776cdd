"""The tables of documents (privacy, metrics, webhooks, architecture), made of what subsystems declare.

Each is in its document between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. `make schema` replaces them;
`tests/app/test_documents.py` fails if one is stale.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chatd.app import kernel_storage
from chatd.app.metrics import Durations, Metric
from chatd.app.personal_data import Part, Remains
from chatd.app.storage import RedisKey, Table, UserData
from chatd.app.subsystem import Subsystem
from chatd.wire.reference.webhooks import data_sections, event_rows

UNITS = {"seconds": "s", "bytes": "bytes"}
# Tables by their names, by document.
Sections = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Stored:
    """What the kernel and all subsystems store."""

    tables: tuple[Table, ...]
    redis_keys: tuple[RedisKey, ...]
    parts: tuple[Part, ...]
    remains: tuple[Remains, ...]


def stored_by(subsystems: Iterable[Subsystem]) -> Stored:
    """Collect what the kernel and these subsystems store. Raises ValueError if a table is declared twice."""
    subsystems = tuple(subsystems)
    personal_data = [subsystem.personal_data for subsystem in subsystems]
    tables = (*kernel_storage.TABLES, *(table for one in subsystems for table in one.tables))
    names = [table.name for table in tables]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"declared twice: {', '.join(sorted(twice))}")
    return Stored(
        tables,
        (*kernel_storage.REDIS_KEYS, *(key for one in subsystems for key in one.redis_keys)),
        tuple(part for one in personal_data for part in one.export),
        (*(one for data in personal_data for one in data.remains), *kernel_storage.REMAINS),
    )


def sections(subsystems: Iterable[Subsystem]) -> Sections:
    subsystems = tuple(subsystems)
    stored = stored_by(subsystems)
    outgoing = tuple(event for one in subsystems for event in one.outgoing)
    return {
        "architecture.md": {
            "subsystems": rows(("folder", "what it is"), ((f"`{one.name}`", one.about) for one in subsystems[::-1]))
        },
        "privacy.md": {
            "what stays": rows(("what", "where", "how long"), stored.remains),
            "tables": rows(("table", "what", "how long", "exported", "erased"), table_rows(stored.tables)),
            "keys": rows(("key", "what", "how long"), ((f"`{key}`", *rest) for key, *rest in stored.redis_keys)),
            "export": rows(("type", "content"), ((f"`{part.type}`", part.content) for part in stored.parts)),
        },
        "webhooks.md": {
            "events": rows(("type", "when", "`data`"), event_rows(outgoing)),
            "data": data_sections(outgoing),
        },
        "metrics.md": {
            "metrics": rows(
                ("metric", "type", "unit", "labels", "meaning"),
                (metric_row(metric) for one in subsystems for metric in one.metrics),
            )
        },
    }


def rows(head: Sequence[str], cells: Iterable[Iterable[str]]) -> str:
    lines = [head, ["---"] * len(head), *cells]
    return "".join(f"| {' | '.join(one.replace('|', chr(92) + '|') for one in line)} |\n" for line in lines)


def table_rows(tables: Iterable[Table]) -> Iterator[tuple[str, ...]]:
    for table in sorted(tables, key=lambda table: table.name):
        if table.users is not None:
            about = table.users
            yield f"`{table.name}`", about.what, about.kept, quoted(about.exported), erased(about)


def erased(about: UserData) -> str:
    stays = f"; the id stays in {quoted(about.id_stays)}" if about.id_stays else ""
    return about.erased + stays


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def metric_row(metric: Metric) -> tuple[str, ...]:
    return f"`{metric.name}`", type_of(metric), unit_of(metric), quoted(metric.labels), metric.meaning


def type_of(metric: Metric) -> str:
    if isinstance(metric, Durations):
        return "histogram"
    return "counter" if metric.name.endswith("_total") else "gauge"


def unit_of(metric: Metric) -> str:
    """The unit of a metric, with which its name ends, as Prometheus recommends."""
    return UNITS.get(metric.name.removesuffix("_total").rpartition("_")[2], "")


def with_sections(text: str, found: Mapping[str, str]) -> str:
    """Replace the generated tables of a document. Raises ValueError if its marks do not match these tables."""
    names = re.findall(r"^<!-- generated: (.*) -->$", text, flags=re.MULTILINE)
    if sorted(names) != sorted(found):
        raise ValueError(f"expected marks of {sorted(found)}, found {sorted(names)}")
    for name, table in found.items():
        begin, end = f"<!-- generated: {name} -->\n", f"<!-- end of {name} -->\n"
        head, _, rest = text.partition(begin)
        _, mark, tail = rest.partition(end)
        if not mark:
            raise ValueError(f"expected {end.strip()}")
        text = f"{head}{begin}\n{table}\n{end}{tail}"
    return text
