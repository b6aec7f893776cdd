"""Privacy: export and erasure of a user's data."""

from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem
from chatd.privacy import commands, openapi, routes
from chatd.privacy.erasure import erase_next

PRIVACY = Subsystem(
    name="privacy",
    commands=(commands,),
    routes=(routes.add_routes,),
    openapi=openapi.ROUTES,
    conditions=openapi.CONDITIONS,
    jobs=(Job("erasure", erase_next, 2),),
)
