"""What tests of all commands have to know of webhooks, see `tests/declarations.py`."""

from tests.abuse.bounds import OneEach, Setting

CONTAINERS = {
    "webhooks.deliverer.Deliverer._running": Setting("webhooks.concurrency"),
    "webhooks.deliverer.Deliverer.counts": OneEach("state of an event"),
    "webhooks.directory.Directory.by_id": OneEach("enabled endpoint: at most `webhooks.max_endpoints` of a tenant"),
    "webhooks.directory.Directory.tenants": OneEach("tenant with an endpoint"),
}
