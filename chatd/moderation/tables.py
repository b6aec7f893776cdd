"""The tables of moderation: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, Kept, Limited, Table, UserData, Within
from chatd.db import queries

SQL = queries.load("moderation/reports")

TABLES = (
    Table(
        "reports",
        (Deleted(SQL, "sweep"), Limited("moderation.keep_reports")),
        UserData(
            what=(
                "`reporter`, `target`, `reported_as`: the id or alias by which they were reported; `reason`, `text`, "
                "`picture`, `transcript`: the evidence; `outcome`, `note`, `resolved_by`: what became of it"
            ),
            kept="`moderation.keep_reports` after it is resolved",
            erased="stays",
        ),
        impersonal=("message", "state"),
    ),
    Table(
        "report_uploads",
        (Within("reports"),),
        UserData(what="`upload`: files that are evidence", kept="as long as the report", erased="stays"),
        impersonal=("report",),
    ),
    Table(
        "strikes",
        (Within("users"), Kept("the next ban depends on their number")),
        UserData(what="`user_id`, `actor`; `reason`", kept="forever", erased="stays"),
    ),
)
