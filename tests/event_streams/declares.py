"""What tests of all commands have to know of event streams, see `tests/declarations.py`."""

from tests.abuse.bounds import Fixed, OneEach, Passing, Setting

CONTAINERS = {
    "event_streams.frame_log.FrameLog._frames": Setting("events.replay_frames"),
    "event_streams.relay.SessionRelay._rows": Fixed(),
    "event_streams.relay.SessionRelay._waiting": Passing("HTTP connection"),
    "event_streams.service.EventSessions._open": Passing("session"),
    "event_streams.service.EventSessions._sessions": Passing("session"),
    "realtime.connections.Connections.by_transport": OneEach("transport"),
}
