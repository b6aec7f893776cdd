"""What actions store about a user: the buttons that they have pressed, and those that were pressed for a bot."""

from chatd.app.personal_data import Part, PersonalData
from chatd.db import queries

SQL = queries.load("actions/actions")

PERSONAL_DATA = PersonalData(
    export=(Part("action", "buttons that the user has pressed", SQL.export, ("id",)),),
    forget=(SQL.forget, SQL.forget_bot),
)
