"""What people store about a user."""

from chatd.app.personal_data import Part, PersonalData, Remains
from chatd.db import queries

SQL = queries.load("people/personal_data")
PERSONAL_DATA = PersonalData(
    export=(Part("handle_change", "when the user gave up a handle", SQL.export, ("change",)),),
    forget=(SQL.forget,),
    remains=(Remains("a hash of the handle, without the user", "`handle_changes`", "`people.handle_hold_days`"),),
)
