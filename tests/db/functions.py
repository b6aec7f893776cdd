"""The statements inside the functions of the database, one by one, so that their plans can be checked.

`explain` shows a function as one step, and auto_explain is for superusers only. Postgres plans each of these statements
as it plans a prepared one: with the arguments, variables and the row of a trigger as parameters.
"""

import re
from typing import Any, NamedTuple

FUNCTIONS = """
select p.proname::text as name, p.prosrc as source, l.lanname::text as language,
    coalesce(p.proargnames[1:p.pronargs], '{}') as arguments,
    array(select format_type(t, null) from unnest(p.proargtypes::oid[]) with ordinality as a (t, ord) order by ord) as types
from pg_proc p join pg_language l on l.oid = p.prolang
where p.pronamespace = 'public'::regnamespace and p.prokind = 'f' order by 1
"""
# What of plpgsql may stand before a statement, or in it.
BEFORE = re.compile(r"^(?:(?:begin|else|end if)\s+|if\b.*?\bthen\s+|return query\s+)*", re.DOTALL)
INTO = re.compile(r"\binto \w+(?:, \w+)*(?= from\b)")
DECLARED = re.compile(r"^\s*(\w+) ([\w\[\]]+)(?: :=.*)?;$", re.MULTILINE)


class Inner(NamedTuple):
    """A statement with its parameters."""

    sql: str
    types: list[str]


async def inner_statements(connection: Any) -> dict[str, Inner]:
    """By the name of the function, and the number of the statement in it."""
    found = {}
    for row in await connection.fetch(FUNCTIONS):
        source = re.sub(r"--.*", "", row["source"])
        head, _, body = source.partition("begin\n") if row["language"] == "plpgsql" else ("", "", source)
        parameters = dict(zip(row["arguments"], row["types"], strict=True)) | dict(DECLARED.findall(head))
        for number, part in enumerate(body.split(";")):
            sql = INTO.sub("", re.sub(r"^perform\b", "select", BEFORE.sub("", part.strip())))
            if re.match(r"(with|select|insert|update|delete)\b", sql):
                found[f"{row['name']}() {number}"] = bound(sql, parameters)
    return found


def bound(sql: str, parameters: dict[str, str]) -> Inner:
    """Names as numbers. A variable that has the name of a column is meant where it is indexed."""
    types = []
    for name in dict.fromkeys(re.findall(r"\b(?:old|new)\.\w+", sql)):
        types.append("unknown")
        sql = re.sub(rf"\b{re.escape(name)}\b", f"${len(types)}", sql)
    for name, kind in parameters.items():
        place = rf"(?<![.\w]){name}" + (r"\b" if name.startswith("p_") else r"(?=\[)")
        used = re.sub(place, f"${len(types) + 1}", sql)
        if used != sql:
            types.append(kind)
            sql = used
    return Inner(sql, types)
