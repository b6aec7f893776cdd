"""What accounts store about a user."""

from chatd.app.personal_data import Part, PersonalData
from chatd.db import queries

SQL = queries.load("accounts/personal_data")
PERSONAL_DATA = PersonalData(export=(Part("profile", SQL.profile),), forget=(SQL.forget,))
