"""What threads store about a user."""

from chatd.app.personal_data import Part, PersonalData
from chatd.core.ids import NIL
from chatd.db import queries

SQL = queries.load("threads/threads")
PERSONAL_DATA = PersonalData(
    export=(
        Part(
            "thread",
            "threads that the user follows or has unfollowed",
            SQL.export,
            ("conversation", "root_seq"),
            (NIL, 0),
        ),
    ),
    forget=(SQL.forget,),
)
