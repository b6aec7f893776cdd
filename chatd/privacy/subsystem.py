"""Privacy: export and erasure of a user's data."""

from chatd.app.jobs import Job
from chatd.app.personal_data import PersonalData
from chatd.app.subsystem import Subsystem
from chatd.privacy import commands, openapi, routes
from chatd.privacy.erasure import erase_next
from chatd.privacy.tables import REMAINS, TABLES

PRIVACY = Subsystem(
    name="privacy",
    about="export and erasure",
    tables=TABLES,
    commands=(commands,),
    routes=(routes.add_routes,),
    openapi=openapi.ROUTES,
    conditions=openapi.CONDITIONS,
    jobs=(Job("erasure", erase_next, 2),),
    personal_data=PersonalData(remains=REMAINS),
)
