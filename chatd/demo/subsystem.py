"""The demo page at /."""

from chatd.app.subsystem import Subsystem
from chatd.demo import page
from chatd.demo.origins import page_origins
from chatd.demo.settings import SETTINGS

DEMO = Subsystem(
    name="demo",
    about="the demo page, an app for browsers that shows how to use the JavaScript client",
    settings=SETTINGS,
    routes=(page.add_routes,),
    page_origins=page_origins,
)
