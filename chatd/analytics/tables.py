"""The tables of analytics: what bounds their rows, and what they contain about users."""

from chatd.app.personal_data import Part, PersonalData
from chatd.app.storage import Deleted, Limited, OneFor, Table, UserData, Within
from chatd.db import queries

SQL = queries.load("analytics/recording")
ROLLUP = queries.load("analytics/rollup")

PERSONAL_DATA = PersonalData(
    export=(Part("activity", "the last days on which the user was connected", SQL.export),),
    forget=(SQL.forget,),
)
TABLES = (
    Table(
        "analytics_users",
        (Within("users"), OneFor("user")),
        UserData(
            what="`user_id`; `first_day`, `last_day`, `days`: the first day with a session, and the last ones",
            kept="as long as the account",
            exported=("activity",),
            erased="deleted; the counts of the days stay",
            rows_of="user_id",
        ),
    ),
    Table("analytics_days", (Deleted(ROLLUP, "sweep_days"), Limited("analytics.keep_days"))),
    Table("analytics_cohorts", (Deleted(ROLLUP, "sweep_cohorts"), Limited("analytics.keep_days"))),
    Table("analytics_samples", (Deleted(ROLLUP, "sweep_samples"), Deleted(SQL, "limit_samples"))),
)
