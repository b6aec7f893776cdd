"""What tests of all commands have to know of analytics, see `tests/declarations.py`."""

from tests.abuse.bounds import Most, OneEach

CONTAINERS = {
    "analytics.recorder.Counters.samples": Most("analytics.recorder.MAX_SAMPLES"),
    "analytics.recorder.Recorder._counters": Most("analytics.recorder.MAX_COUNTERS"),
    "analytics.recorder.Recorder._limits": OneEach("tenant, for today and yesterday"),
    "analytics.recorder.Recorder._noted": Most("analytics.recorder.MAX_NOTED"),
    "analytics.recorder.Recorder._waiting": Most("analytics.recorder.MAX_WAITING"),
}
# The recorder writes every few seconds.
IN_BACKGROUND = {"analytics_cohorts", "analytics_days", "analytics_samples", "analytics_users"}
