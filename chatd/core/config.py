"""The settings of the kernel: one frozen struct per section of `chatd.toml`, with every default. Subsystems declare
theirs.

A size in bytes has `bytes` in its name; durations are seconds unless the name has another unit. `doc` of a field is the
comment that `chatd init` writes above it. `core/settings.py` reads the values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, cast

from msgspec import Meta, Struct
from msgspec.structs import replace

from chatd.core import setting_rules as rules
from chatd.core.identity import Role

# The largest backlog that a listener accepts; a hundred years.
MAX_COUNT, MAX_SECONDS = 2**31 - 1, 3_155_760_000
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1, le=MAX_COUNT)]
Bytes = Annotated[int, Meta(ge=1, le=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=MAX_SECONDS)]

# A duration for which 0 would not mean "off", but make the daemon unusable.
Duration = Annotated[float, Meta(ge=0.001, le=MAX_SECONDS)]
# The claims of a token hold whole seconds.
Lifetime = Annotated[float, Meta(ge=1, le=MAX_SECONDS)]


def ruled(rule: Callable[[str], None]) -> Meta:
    """A rule that `settings` checks in addition to the type."""
    return Meta(extra={"rule": rule})


Host = Annotated[str, ruled(rules.host)]
Origin = Annotated[str, ruled(rules.origin)]
NetworkText = Annotated[str, ruled(rules.network)]
WebAddress = Annotated[str, ruled(rules.web_address)]
SocketAddress = Annotated[str, ruled(rules.socket_address)]
BaseAddress = Annotated[str, ruled(rules.base_address)]
Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]


# The value is masked wherever settings are shown.
SECRET = Meta(extra={"secret": True})


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one `[section]` of the file. Several subsystems may declare settings of the same section."""


def doc(text: str) -> Meta:
    return Meta(description=text)


class Data(Section, frozen=True):
    dir: Annotated[str, doc("Directory of the embedded Postgres, the embedded Redis and the uploads.")] = "./chatd-data"
    secret: Annotated[
        str,
        SECRET,
        doc("Key for address bans and everything else that is not a token: at least 32 bytes, the same on all nodes."),
        doc("If empty, a key is generated once and kept in dir."),
    ] = ""
    secret_file: Annotated[str, doc("File that contains the secret, instead of secret.")] = ""


class Gateway(Section, frozen=True):
    host: Annotated[Host, doc("Address that the WebSocket port binds to.")] = "127.0.0.1"
    port: Annotated[Port, doc("WebSocket port; 0 lets the operating system choose.")] = 8080
    path: Annotated[str, ruled(rules.path), doc("Path of the WebSocket endpoint.")] = "/v1/ws"
    single_port: Annotated[
        bool,
        doc("Serve everything of the HTTP port on this port as well, for small installations without a proxy."),
        doc("`--single-port` sets it."),
    ] = False
    public_url: Annotated[
        SocketAddress,
        doc("Public URL of the WebSocket endpoint, such as wss://chat.example.org/v1/ws; if empty, the bound address."),
    ] = ""
    origins: Annotated[
        list[Origin], doc('Browser origins that may connect, such as https://chat.example.org; "*" allows any.')
    ] = []
    require_origin: Annotated[bool, doc("Reject clients that send no Origin header (every browser sends one).")] = False
    trusted_proxies: Annotated[
        list[NetworkText], doc("Addresses or networks of reverse proxies whose X-Forwarded-For is trusted.")
    ] = []
    handshake_timeout: Annotated[Duration, doc("Seconds within which a client must complete the handshake.")] = 5.0
    close_timeout: Annotated[Duration, doc("Seconds to wait for a client to answer a close frame.")] = 3.0
    heartbeat: Annotated[
        Duration,
        doc("Seconds without traffic after which the server sends a ping; after twice that it closes the connection."),
    ] = 25.0
    max_message_bytes: Annotated[Count, doc("Maximum size of a WebSocket message, in bytes.")] = 65536
    max_frames: Annotated[Count, doc("Maximum number of WebSocket frames per message.")] = 64
    max_depth: Annotated[Count, doc("Maximum nesting depth of the JSON or msgpack in a message.")] = 16
    outbox_bytes: Annotated[Bytes, doc("Maximum bytes queued for a slow client.")] = 1_048_576
    outbox_frames: Annotated[Count, doc("Maximum frames queued for a slow client.")] = 1024
    stall_timeout: Annotated[
        Duration, doc("Seconds after which a client that reads nothing at all is closed with 4000.")
    ] = 10.0
    backlog: Annotated[Count, doc("Length of the operating system's queue of connections that wait for accept.")] = 4096
    reuse_port: Annotated[
        bool, doc("Let other processes listen on both ports as well (SO_REUSEPORT). `--workers` sets it.")
    ] = False


class Http(Section, frozen=True):
    host: Annotated[Host, doc("Address that the HTTP port binds to.")] = "127.0.0.1"
    port: Annotated[Port, doc("HTTP port; 0 lets the operating system choose.")] = 8081
    max_body_bytes: Annotated[Count, doc("Maximum size of a request body, in bytes.")] = 65536
    body_timeout: Annotated[Duration, doc("Seconds within which a request body must arrive.")] = 10.0
    answer_timeout: Annotated[
        Duration, doc("Seconds within which a client must read a response, files and exports included.")
    ] = 600.0
    backends: Annotated[
        list[NetworkText],
        doc("Addresses or networks of your own backends, which are exempt from the limits per address."),
    ] = []
    admin_hosts: Annotated[
        list[Host], doc("Host names that /admin answers to, besides localhost and IP addresses.")
    ] = []
    cors_origins: Annotated[list[Origin], doc('Browser origins that may call the REST API; "*" allows any.')] = []
    public_url: Annotated[
        BaseAddress,
        doc("Public base URL of this port, for the addresses of files; if empty, the bound address."),
        doc("Prefer a host that serves nothing else."),
    ] = ""


class PostgresSection(Section, frozen=True):
    dsn: Annotated[
        str,
        SECRET,
        doc(
            "Connection string, such as postgresql://user:password@host:5432/chatd; if empty, the embedded "
            "Postgres is started."
        ),
    ] = ""
    dsn_file: Annotated[str, doc("File that contains the connection string, instead of dsn.")] = ""
    pool: Annotated[Count, doc("Connections for everything except the message log ([message_log]).")] = 8
    user_connections: Annotated[
        Count, doc("Maximum pool connections used by one user's commands at the same time; further commands wait.")
    ] = 2
    reserved: Annotated[Count, doc("Pool connections reserved for sign-in and background work.")] = 2
    timeout: Annotated[
        Duration,
        doc(
            "Timeout in seconds of a statement, and of a command with all of its statements; the client then "
            "gets `timeout`."
        ),
    ] = 5.0
    allow_unsafe_durability: Annotated[
        bool, doc("Start even if fsync or synchronous_commit is off. Acknowledged messages can be lost.")
    ] = False


class RedisSection(Section, frozen=True):
    url: Annotated[
        str,
        SECRET,
        doc("redis://user:password@host:6379/0 or rediss://...; if empty, host is used, or else the embedded Redis."),
    ] = ""
    url_file: Annotated[str, doc("File that contains the URL, instead of url.")] = ""
    host: Annotated[Host, doc("Host, instead of url.")] = ""
    port: Annotated[Port, doc("Port, together with host.")] = 6379
    username: Annotated[str, doc("ACL user, together with host.")] = ""
    password: Annotated[str, SECRET, doc("Password, together with host.")] = ""
    password_file: Annotated[str, doc("File that contains the password, instead of password.")] = ""
    tls: Annotated[bool, doc("Use TLS, together with host.")] = False
    prefix: Annotated[str, doc("Prefix of every key of this cluster.")] = "chatd"
    timeout: Annotated[
        Annotated[float, Meta(ge=1, le=60)],
        doc("Seconds within which Redis must answer a command; after that it counts as unreachable."),
    ] = 2.0


class ClusterTimes(Section, frozen=True):
    """How soon nodes notice that another one is silent: all of these times are multiples of the heartbeat."""

    heartbeat: Annotated[
        Annotated[float, Meta(ge=0.02, le=1)],
        doc("Seconds between two heartbeats of a node; the same on all nodes."),
        doc("A node without one for three times as long counts as silent; shorter times need lower latencies."),
    ] = 1.0

    @property
    def silence_s(self) -> float:
        """Time without an entry of a node (this one or another) after which some of its entries may be missing."""
        return 3 * self.heartbeat

    @property
    def settle_s(self) -> float:
        """Time after an outage in which the silence of another node means nothing."""
        return 2 * self.silence_s

    @property
    def peer_timeout_s(self) -> float:
        """Time without an entry after which a node is not counted as a peer."""
        return 10 * self.heartbeat

    @property
    def check_s(self) -> float:
        """Time between two reads of what shows in Postgres or Redis which nodes are alive."""
        return 2 * self.heartbeat

    @property
    def lease_s(self) -> float:
        """Time for which a node holds a lease in Redis without renewing it."""
        return 3 * self.heartbeat

    @property
    def sweep_s(self) -> float:
        """Time between two checks for what was lost without a trace."""
        return 10 * self.heartbeat


class Limits(Section, frozen=True):
    connections: Annotated[Count, doc("Maximum connections of this process.")] = 100_000
    connections_per_address: Annotated[Count, doc("Maximum connections per address (/64 for IPv6).")] = 100
    pending_handshakes: Annotated[Count, doc("Maximum unfinished handshakes of this process.")] = 1000
    pending_per_address: Annotated[Count, doc("Maximum unfinished handshakes per address.")] = 50
    accepts_per_second: Annotated[Count, doc("Maximum new connections per second; the burst is twice that.")] = 1000
    accepts_per_address: Annotated[
        Count,
        doc("Maximum new connections per second of one address (/64 for IPv6); checked before accepts_per_second."),
    ] = 100
    commands_per_second: Annotated[Seconds, doc("Maximum commands per second of one connection, weighted by cost.")] = (
        50.0
    )
    commands_burst: Annotated[Count, doc("Burst of one connection.")] = 200
    user_commands_per_second: Annotated[
        Seconds, doc("Maximum commands per second of one user over all connections and REST, weighted by cost.")
    ] = 100.0
    user_commands_burst: Annotated[Count, doc("Burst of one user.")] = 400
    service_commands_per_second: Annotated[
        Seconds, doc("Maximum server commands per second of one service token, weighted by cost.")
    ] = 500.0
    service_commands_burst: Annotated[Count, doc("Burst of one service token.")] = 2000
    control_frames_per_second: Annotated[Seconds, doc("Maximum pings and pongs per second of one connection.")] = 20.0
    sessions_per_user: Annotated[Count, doc("Maximum simultaneous connections of one user.")] = 50
    text_bytes: Annotated[Count, doc("Maximum size of a message text, in bytes of UTF-8.")] = 16_384


class Admin(Section, frozen=True):
    token: Annotated[str, SECRET, doc("Bearer token of this admin for /admin: at least 32 random bytes.")] = ""
    token_file: Annotated[str, doc("File that contains the token, instead of token.")] = ""
    tenants: Annotated[
        list[str], doc("Tenants that this admin may act in; if empty, all tenants and the cluster as a whole.")
    ] = []
    role: Annotated[
        Role,
        doc("viewer reads figures and metadata, moderator also reads reports and acts on users, operator may do all."),
    ] = "operator"


class Drain(Section, frozen=True):
    notice: Annotated[
        Seconds,
        doc("Seconds after SIGTERM during which both ports still accept clients: longer than a health check interval."),
    ] = 2.0
    timeout: Annotated[Seconds, doc("Maximum seconds after that notice until the process exits.")] = 10.0
    spread: Annotated[Seconds, doc("Seconds over which clients reconnect, each at a different moment.")] = 5.0


class Log(Section, frozen=True):
    level: Annotated[Literal["debug", "info", "warning", "error"], doc("debug, info, warning or error.")] = "info"
    format: Annotated[Literal["json", "text", "auto"], doc("json, text, or auto (text on a terminal, else json).")] = (
        "auto"
    )


T = TypeVar("T", bound=Section)


@dataclass(frozen=True, slots=True)
class Settings:
    """Declares the settings `kind` in `[section]`."""

    section: str
    kind: type[Section]


@dataclass(frozen=True, slots=True)
class NamedSettings:
    """Declares the settings `kind` in each `[family.NAME]`. `example` is a comment in the template of chatd.toml."""

    family: str
    kind: type[Section]
    example: str = ""


Declaration = Settings | NamedSettings


class Config(Struct, frozen=True, kw_only=True):
    """The sections of the kernel, and the settings of subsystems by their class."""

    data: Data = Data()
    gateway: Gateway = Gateway()
    http: Http = Http()
    postgres: PostgresSection = PostgresSection()
    redis: RedisSection = RedisSection()
    cluster: ClusterTimes = ClusterTimes()
    limits: Limits = Limits()
    admins: dict[str, Admin] = {}
    drain: Drain = Drain()
    log: Log = Log()
    sections: Mapping[type[Section], Section] = {}
    families: Mapping[type[Section], Mapping[str, Section]] = {}

    def get(self, kind: type[T]) -> T:
        """The settings of this class; the defaults if none were given."""
        found: Any = self.sections.get(kind)
        return default_of(kind) if found is None else found  # type: ignore[no-any-return]

    def named(self, kind: type[T]) -> Mapping[str, T]:
        """The settings of this class by the name in `[family.NAME]`."""
        return cast(Mapping[str, T], self.families.get(kind, {}))

    def using(self, *sections: Section) -> "Config":
        """A copy with these settings of subsystems. Raises TypeError for a section of the kernel, which is a field."""
        if wrong := [type(section).__name__ for section in sections if type(section) in KERNEL_KINDS]:
            raise TypeError(
                f"sections of the kernel are fields: replace(config, ...) instead of using({', '.join(wrong)})"
            )
        return replace(self, sections={**self.sections, **{type(section): section for section in sections}})

    def using_named(self, kind: type[T], sections: Mapping[str, T]) -> "Config":
        """A copy with these settings of a family."""
        return replace(self, families={**self.families, kind: sections})


@cache
def default_of(kind: type[T]) -> T:
    return kind()


ADMINS = """\
# Admins, who may use /admin on the HTTP port. The audit log records the name. Without any, /admin does not exist:
# [admins.ann]
# token_file = "/run/secrets/ann"
# tenants = ["acme"]
# role = "moderator"
"""
# The names of the sections are those of the fields of `Config`.
KERNEL: tuple[Declaration, ...] = (
    Settings("data", Data),
    Settings("gateway", Gateway),
    Settings("http", Http),
    Settings("postgres", PostgresSection),
    Settings("redis", RedisSection),
    Settings("cluster", ClusterTimes),
    Settings("limits", Limits),
    NamedSettings("admins", Admin, ADMINS),
    Settings("drain", Drain),
    Settings("log", Log),
)
KERNEL_KINDS = frozenset(declared.kind for declared in KERNEL)
