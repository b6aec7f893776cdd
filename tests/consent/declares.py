"""What tests of all commands have to know of consent, see `tests/declarations.py`."""

from tests.abuse.bounds import OneEach

ANYBODYS = {("contact.add", "user")}
# Only the user who was asked can answer, and nobody was.
ALSO_THE_OWNER = {"contact.remove", "request.block", "request.decline", "request.withdraw"}
CONTAINERS = {"conversations.consent_rules.RequestCounts.by_outcome": OneEach("outcome of a request")}
