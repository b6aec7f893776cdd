"""OpenAPI of the routes that no subsystem adds."""

from chatd.wire.reference.description import Routes
from chatd.wire.reference.routes import TEXT, probe

LINKS = {"chatd": TEXT, "socket": TEXT, "openapi": TEXT}
ROUTES: Routes = {
    "/": {"get": probe("server.welcome", "The version, and where everything is.", LINKS)},
    "/openapi.json": {
        "get": probe("server.openapi", "The OpenAPI description.", {"openapi": TEXT, "paths": {"type": "object"}})
    },
}
