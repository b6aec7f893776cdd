"""The table of erasures: what bounds its rows, and what it contains about users."""

from chatd.app.personal_data import Remains
from chatd.app.storage import OneFor, Table, UserData, Within

TABLES = (
    Table(
        "erasures",
        (Within("users"), OneFor("erased user")),
        UserData(
            what="`user_id`, `actor`; `position`: progress, a `client_id` until it is done",
            kept="forever",
            erased="stays",
            id_stays=("user_id", "actor"),
        ),
    ),
)
REMAINS = (Remains("the fact of the erasure, its time, and who requested it", "`erasures`, `audit_log`", "forever"),)
