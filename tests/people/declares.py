"""What tests of all commands have to know of people, see `tests/declarations.py`."""

from tests.abuse.bounds import Most

# Ids of unknown users are listed in the answer.
WITHOUT_OWNER = {"user.query"}
CONTAINERS = {
    "people.announcements.Announcements._waiting": Most("people.announcements.MAX_WAITING"),
    "people.announcements.Announcements._announced": Most("people.announcements.MAX_WAITING"),
    "people.announcements.Deliveries._waiting": Most("people.announcements.MAX_DELIVERIES"),
}
