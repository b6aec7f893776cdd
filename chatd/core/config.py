"""What an operator can set: one frozen struct per section of `chatd.toml`, with every default.

Units are in the names: `_ms` milliseconds, `_bytes` bytes, all other times are seconds. The doc line of a field is the
comment that `chatd init` writes above it. Where the values come from is the business of `core/settings.py`.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from chatd.core import setting_rules as rules

# A listener takes no larger backlog, a clock no longer time: a hundred years.
MAX_COUNT, MAX_SECONDS = 2**31 - 1, 3_155_760_000
Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1, le=MAX_COUNT)]
Bytes = Annotated[int, Meta(ge=1, le=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=MAX_SECONDS)]

# A time that 0 would not switch off, but make useless: nobody could connect, or no command would be carried out.
Duration = Annotated[float, Meta(ge=0.001, le=MAX_SECONDS)]
# Tokens count whole seconds.
Lifetime = Annotated[float, Meta(ge=1, le=MAX_SECONDS)]


def ruled(rule: Callable[[str], None]) -> Meta:
    """A form that `settings` looks at, beyond the type."""
    return Meta(extra={"rule": rule})


Host = Annotated[str, ruled(rules.host)]
Origin = Annotated[str, ruled(rules.origin)]
NetworkText = Annotated[str, ruled(rules.network)]
WebAddress = Annotated[str, ruled(rules.web_address)]
BaseAddress = Annotated[str, ruled(rules.base_address)]
Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[section]` of the file."""


def doc(text: str) -> Meta:
    return Meta(description=text)


class Data(Section, frozen=True):
    dir: Annotated[str, doc("Where embedded Postgres, embedded Redis and uploads live.")] = "./chatd-data"
    secret: Annotated[
        str,
        doc("Key of this installation for address bans and all else that is no token: at least 32 bytes, the same on all nodes."),
        doc("Empty: made once and kept in dir."),
    ] = ""
    secret_file: Annotated[str, doc("File that holds the secret, instead of secret.")] = ""


class Gateway(Section, frozen=True):
    host: Annotated[Host, doc("Address of the WebSocket door.")] = "127.0.0.1"
    port: Annotated[Port, doc("Port of the WebSocket door; 0 lets the system choose.")] = 8080
    path: Annotated[str, ruled(rules.path), doc("Path of the WebSocket door.")] = "/v1/ws"
    origins: Annotated[list[Origin], doc('Browser origins that may connect, such as https://chat.example.org; "*" for any.')] = []
    require_origin: Annotated[bool, doc("Refuse clients that send no Origin at all (every browser sends one).")] = False
    trusted_proxies: Annotated[list[NetworkText], doc("Addresses or networks whose X-Forwarded-For is believed.")] = []
    handshake_timeout: Annotated[Duration, doc("Seconds a peer has to finish the handshake.")] = 5.0
    close_timeout: Annotated[Duration, doc("Seconds a peer has to answer a close.")] = 3.0
    heartbeat: Annotated[Duration, doc("Seconds of silence after which the server pings; twice that and the peer is gone.")] = (
        25.0
    )
    max_message_bytes: Annotated[Count, doc("Largest message.")] = 65536
    max_frames: Annotated[Count, doc("Most frames of one message.")] = 64
    max_depth: Annotated[Count, doc("Deepest nesting of a message.")] = 16
    outbox_bytes: Annotated[Bytes, doc("Bytes that may wait for a slow reader.")] = 1_048_576
    outbox_frames: Annotated[Count, doc("Frames that may wait for a slow reader.")] = 1024
    stall_timeout: Annotated[Duration, doc("Seconds after which a reader that takes nothing at all is closed with 4000.")] = 10.0
    backlog: Annotated[Count, doc("Connections that the system keeps waiting for accept.")] = 4096
    reuse_port: Annotated[bool, doc("Let other processes listen on both ports too (SO_REUSEPORT). `--workers` sets it.")] = False


class Http(Section, frozen=True):
    host: Annotated[Host, doc("Address of the HTTP door.")] = "127.0.0.1"
    port: Annotated[Port, doc("Port of the HTTP door; 0 lets the system choose.")] = 8081
    max_body_bytes: Annotated[Count, doc("Largest request body.")] = 65536
    body_timeout: Annotated[Duration, doc("Seconds a request body may take.")] = 10.0
    answer_timeout: Annotated[Duration, doc("Seconds that sending an answer may take; files and exports too.")] = 600.0
    backends: Annotated[
        list[NetworkText],
        doc("Addresses or networks of backends of yours: they may have any number of connections and requests."),
    ] = []
    admin_hosts: Annotated[list[Host], doc("Host names under which /admin may be called, besides localhost and addresses.")] = []
    cors_origins: Annotated[list[Origin], doc('Browser origins that may call the REST side; "*" for any.')] = []


class PostgresSection(Section, frozen=True):
    dsn: Annotated[str, doc("postgresql://user:password@host:5432/chatd; empty starts the embedded one.")] = ""
    dsn_file: Annotated[str, doc("File that holds the dsn, instead of dsn.")] = ""
    pool: Annotated[Count, doc("Connections for everything but the journal.")] = 8
    user_connections: Annotated[Count, doc("Connections of the pool that one user's commands use at once; more wait.")] = 2
    reserved: Annotated[Count, doc("Connections of the pool for sign-in and background work only.")] = 2
    timeout: Annotated[
        Duration,
        doc("Seconds a statement may take, and a command with all of its statements, before the sender is told `timeout`."),
    ] = 5.0
    allow_unsafe_durability: Annotated[
        bool, doc("Serve although fsync or synchronous_commit is off. Acked messages can be lost.")
    ] = False


class RedisSection(Section, frozen=True):
    url: Annotated[
        str,
        doc("redis://user:password@host:6379/0 or rediss://...; empty uses host, or the embedded one."),
    ] = ""
    url_file: Annotated[str, doc("File that holds the url, instead of url.")] = ""
    host: Annotated[Host, doc("Host, instead of a url.")] = ""
    port: Annotated[Port, doc("Port, with host.")] = 6379
    username: Annotated[str, doc("ACL user, with host.")] = ""
    password: Annotated[str, doc("Password, with host.")] = ""
    password_file: Annotated[str, doc("File that holds the password, instead of password.")] = ""
    tls: Annotated[bool, doc("TLS, with host.")] = False
    prefix: Annotated[str, doc("Every key of this cluster starts with it.")] = "chatd"
    stream_key: Annotated[str, doc("Stream that mirrors the match pool.")] = "match"


class Auth(Section, frozen=True):
    secret: Annotated[str, doc("HS256 key of the default tenant, at least 32 bytes. Whoever has it can be anybody.")] = ""
    secret_file: Annotated[str, doc("File that holds the secret, instead of secret.")] = ""
    algorithm: Annotated[Algorithm, doc("HS256, RS256, ES256 or EdDSA. Never taken from a token.")] = "HS256"
    jwks: Annotated[str, doc("JWKS of an identity provider (a file, or an https address), for all but HS256.")] = ""
    issuer: Annotated[str, doc("Required `iss` of a token; empty: not looked at.")] = ""
    audience: Annotated[str, doc("Required `aud` of a token; empty: not looked at.")] = ""
    access_ttl: Annotated[Lifetime, doc("Seconds an access token lives.")] = 900.0
    refresh_ttl: Annotated[Lifetime, doc("Seconds a refresh token lives, counted anew at each rotation.")] = 2_592_000.0
    ticket_ttl: Annotated[Lifetime, doc("Seconds a connection ticket lives.")] = 30.0
    leeway: Annotated[Seconds, doc("Seconds of clock difference that are forgiven.")] = 5.0
    anonymous: Annotated[bool, doc("Let anybody sign up with nothing but a device id.")] = True
    create_users: Annotated[bool, doc("A valid token of an unknown user id makes that user.")] = True
    query_token: Annotated[bool, doc("Accept ?token=JWT. Addresses end up in logs: prefer ?ticket=.")] = False


class Tenant(Section, frozen=True):
    secret: Annotated[str, doc("HS256 key of this tenant.")] = ""
    secret_file: Annotated[str, doc("File that holds the secret, instead of secret.")] = ""
    algorithm: Annotated[Algorithm, doc("HS256, RS256, ES256 or EdDSA.")] = "HS256"
    jwks: Annotated[str, doc("JWKS of this tenant's identity provider.")] = ""
    issuer: Annotated[str, doc("Required `iss`.")] = ""
    audience: Annotated[str, doc("Required `aud`.")] = ""
    retention_days: Annotated[
        int, Meta(ge=-1, le=36_500), doc("Days that messages are kept; 0: for ever; -1: as in [retention].")
    ] = -1


class Limits(Section, frozen=True):
    connections: Annotated[Count, doc("Most connections of this process.")] = 100_000
    connections_per_address: Annotated[Count, doc("Most connections of one address (/64 for IPv6).")] = 100
    pending_handshakes: Annotated[Count, doc("Most unfinished handshakes of this process.")] = 1000
    pending_per_address: Annotated[Count, doc("Most unfinished handshakes of one address.")] = 50
    accepts_per_second: Annotated[Count, doc("Admissions per second; the burst is twice that.")] = 1000
    accepts_per_address: Annotated[
        Count,
        doc("Admissions per second of one address (/64 for IPv6); the burst is twice that. Asked before accepts_per_second."),
    ] = 100
    commands_per_second: Annotated[Seconds, doc("Commands of one connection, by cost.")] = 50.0
    commands_burst: Annotated[Count, doc("Burst of one connection.")] = 200
    user_commands_per_second: Annotated[Seconds, doc("Commands of one user over all connections and REST, by cost.")] = 100.0
    user_commands_burst: Annotated[Count, doc("Burst of one user.")] = 400
    control_frames_per_second: Annotated[Seconds, doc("Pings and pongs of one connection.")] = 20.0
    signups_per_minute: Annotated[Seconds, doc("Anonymous sign-ups of one address.")] = 60.0
    auth_failures_per_minute: Annotated[Seconds, doc("Refused credentials of one address before it is told to wait.")] = 120.0
    rotations_per_hour: Annotated[Count, doc("Most refreshes of the tokens of one login within an hour.")] = 120
    sessions_per_user: Annotated[Count, doc("Most live connections of one user.")] = 50
    members: Annotated[Count, doc("Most members of a group.")] = 10_000
    conversations_per_user: Annotated[
        Count, doc("Most conversations that one user is in; nobody is brought into another one by themselves or by others.")
    ] = 5_000
    stars_per_user: Annotated[Count, doc("Most messages that one user has starred.")] = 10_000
    blocks_per_user: Annotated[Count, doc("Most users that one user blocks.")] = 10_000
    logins_per_user: Annotated[Count, doc("Most logins of one user that signs up by a device; a new one ends the oldest.")] = 100
    text_bytes: Annotated[Count, doc("Largest text of a message, in bytes of UTF-8.")] = 16_384
    payload_bytes: Annotated[Count, doc("Largest `meta` and `attachments` of a message together, in bytes of JSON.")] = 8192


class Journal(Section, frozen=True):
    flushers: Annotated[Count, doc("Connections that commit messages, each with its share of the conversations.")] = 2
    batch: Annotated[Count, doc("Most messages of one commit.")] = 500
    waiting: Annotated[Count, doc("Most messages that may wait for a commit; more are refused.")] = 20_000
    deadline: Annotated[
        Duration, doc("Seconds a message may take from its arrival to its commit before its sender is told `unavailable`.")
    ] = 5.0


class Filters(Section, frozen=True):
    words: Annotated[list[str], doc("Words and phrases that are not wanted, however they are written.")] = []
    words_file: Annotated[str, doc("File of words, one a line, instead of words.")] = ""
    action: Annotated[
        Literal["reject", "mask"], doc("What happens to them: reject refuses the message, mask stores asterisks.")
    ] = "reject"
    links: Annotated[Literal["any", "none", "listed"], doc("Links in texts: any, none, or those to link_hosts.")] = "any"
    link_hosts: Annotated[list[str], doc("Hosts that links may lead to; each counts for its subdomains too.")] = []
    links_denied: Annotated[list[str], doc("Hosts that no link may lead to.")] = []


class Hook(Section, frozen=True):
    url: Annotated[WebAddress, doc("Address that is asked before a message is stored; empty: nobody is.")] = ""
    secret: Annotated[str, doc("Key of the signature under each question, at least 32 bytes.")] = ""
    secret_file: Annotated[str, doc("File that holds the secret, instead of secret.")] = ""
    timeout: Annotated[Duration, doc("Seconds it has to answer.")] = 1.0
    on_failure: Annotated[
        Literal["allow", "reject"], doc("When it does not: allow stores the message, reject answers `unavailable`.")
    ] = "reject"
    allow_private: Annotated[bool, doc("It may stand in this house: private addresses, and http without TLS.")] = False
    max_waiting: Annotated[Count, doc("Most messages that wait for its answer; for more, it has failed.")] = 100


class Match(Section, frozen=True):
    relax: Annotated[Seconds, doc("Seconds after which `should` is given up; twice that tags, then recent partners.")] = 5.0
    confirm: Annotated[Seconds, doc("Seconds that both have to confirm a pair; 0: nobody has to.")] = 0.0
    longest: Annotated[Duration, doc("Seconds after which a ticket expires.")] = 600.0
    grace: Annotated[Seconds, doc("Seconds that somebody who lost the connection keeps the ticket, or the match.")] = 10.0
    recent: Annotated[
        int, Meta(ge=0, le=10_000), doc("Last partners that are not met again as long as there is somebody else.")
    ] = 20
    pseudonyms: Annotated[bool, doc("Strangers see other ids of each other in each match; the same on all nodes.")] = False


class Queue(Section, frozen=True):
    size: Annotated[int, Meta(ge=2, le=20), doc("How many are brought together.")] = 2
    relax: Annotated[Seconds | None, doc("As in [match].")] = None
    confirm: Annotated[Seconds | None, doc("As in [match].")] = None
    longest: Annotated[Seconds | None, doc("As in [match].")] = None


class Messages(Section, frozen=True):
    edit_window: Annotated[Seconds, doc("Seconds in which a message can be edited; 0: for ever.")] = 0.0
    edit_history: Annotated[
        Literal["members", "sender", "nobody"], doc("Who may see what a message said before it was edited.")
    ] = "members"
    edits: Annotated[Count, doc("How often a message can be edited.")] = 50
    edits_per_minute: Annotated[Count, doc("How often a message can be edited within a minute.")] = 10
    reactions: Annotated[Literal["many", "one"], doc("How many reactions to a message one user may have.")] = "many"
    receipts_up_to: Annotated[
        Count, doc("In groups of more members nobody is told how far others have received and read; it can be asked for.")
    ] = 500
    scheduled_per_user: Annotated[Count, doc("Most messages that one user may have scheduled for later.")] = 100


class Retention(Section, frozen=True):
    days: Annotated[
        int, Meta(ge=0, le=36_500), doc("Days that messages are kept; 0: for ever. A conversation can have fewer, never more.")
    ] = 0
    anonymous_days: Annotated[
        int,
        Meta(ge=0, le=36_500),
        doc("Days until an anonymous account that cannot be renewed and has left no trace is removed; 0: never."),
    ] = 90


class Presence(Section, frozen=True):
    grace: Annotated[Seconds, doc("Seconds after the last connection of a user until others are told that they have gone.")] = (
        20.0
    )
    shown_to: Annotated[
        Literal["nobody", "contacts", "everybody"], doc("Who sees whether somebody is there, unless they say otherwise.")
    ] = "everybody"
    typing_members: Annotated[Count, doc("Most members of a conversation in which others are told that somebody is typing.")] = (
        200
    )


class Uploads(Section, frozen=True):
    dir: Annotated[str, doc("Folder of the files; empty: uploads below data.dir. Nodes on several machines need a bucket.")] = ""
    s3_endpoint: Annotated[
        BaseAddress, doc("Address of an S3-compatible store, such as https://s3.eu-central-1.amazonaws.com.")
    ] = ""
    s3_bucket: Annotated[str, doc("Bucket of the files, instead of a folder.")] = ""
    s3_region: Annotated[str, doc("Region that requests are signed for.")] = "us-east-1"
    s3_key: Annotated[str, doc("Access key id; it needs GetObject, PutObject and DeleteObject.")] = ""
    s3_secret: Annotated[str, doc("Secret access key.")] = ""
    s3_secret_file: Annotated[str, doc("File that holds the secret access key, instead of s3_secret.")] = ""
    max_bytes: Annotated[Bytes, doc("Largest file.")] = 10_485_760
    max_pixels: Annotated[Count, doc("Most pixels of an image, all its frames together.")] = 25_000_000
    timeout: Annotated[Duration, doc("Seconds that sending a file may take.")] = 60.0
    user_quota_bytes: Annotated[Bytes, doc("Most bytes that one user may store within 24 hours.")] = 104_857_600
    address_quota_bytes: Annotated[
        Bytes, doc("Most bytes that all anonymous accounts of one address (/64 for IPv6) may store within 24 hours.")
    ] = 1_073_741_824
    user_per_minute: Annotated[Count, doc("Most uploads of one user in a minute, on each node.")] = 30
    public_url: Annotated[
        BaseAddress, doc("Where clients reach the HTTP door, best a host that serves nothing else; empty: its address.")
    ] = ""


class Admin(Section, frozen=True):
    token: Annotated[str, doc("What this admin shows as a bearer token under /admin: at least 32 bytes of chance.")] = ""
    token_file: Annotated[str, doc("File that holds the token, instead of token.")] = ""
    tenants: Annotated[list[str], doc("The tenants this admin may act in; empty: all, and the cluster as a whole.")] = []


# Strikes, and how long the ban is that they end in: "3:1d", "8:ever".
Rung = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}:([1-9][0-9]{0,4}[smhd]|ever)\Z")]
REASONS = ["spam", "abuse", "sexual", "minor", "violence", "other"]
LADDER = ["3:1d", "5:7d", "8:ever"]


class Moderation(Section, frozen=True):
    reasons: Annotated[list[str], doc("What people may give as the reason of a report.")] = field(default_factory=REASONS.copy)
    reports_per_hour: Annotated[Count, doc("Most reports of one user in an hour.")] = 10
    evidence_messages: Annotated[Count, doc("Most messages that are kept with a report, around what it is about.")] = 50
    evidence_bytes: Annotated[Count, doc("Most bytes of them.")] = 65_536
    keep_removed: Annotated[
        Seconds, doc("Seconds that what a removed message said is kept, where only a report can take it up; 0: not at all.")
    ] = 86_400.0
    keep_reports: Annotated[Seconds, doc("Seconds that a resolved report is kept, with its messages.")] = 15_552_000.0
    strikes: Annotated[list[Rung], doc('From so many strikes on each is a ban of so long (s, m, h, d): "3:1d", "8:ever".')] = (
        field(default_factory=LADDER.copy)
    )
    strike_ttl: Annotated[Seconds, doc("Seconds after which a strike counts no more; 0: it counts for ever.")] = 7_776_000.0
    appeals: Annotated[str, doc("How to appeal: an address or a page. Whoever is banned is told; empty: nothing is said.")] = ""
    show_reason: Annotated[bool, doc("Tell who is banned the reason that was given.")] = False


class Drain(Section, frozen=True):
    notice: Annotated[
        Seconds,
        doc("Seconds after SIGTERM in which /readyz says so and both doors serve as before; longer than a balancer polls."),
    ] = 2.0
    timeout: Annotated[Seconds, doc("Seconds from then to the end.")] = 10.0
    spread: Annotated[Seconds, doc("Clients are told to come back within so many seconds, each at its own moment.")] = 5.0


class Metrics(Section, frozen=True):
    token: Annotated[
        str, Meta(pattern=r"^(\S{16,})?$"), doc("Token for /metrics, at least 16 bytes; without it only this machine may look.")
    ] = ""
    token_file: Annotated[str, doc("File that holds the token, instead of token.")] = ""


class Log(Section, frozen=True):
    level: Annotated[Literal["debug", "info", "warning", "error"], doc("debug, info, warning or error.")] = "info"
    format: Annotated[Literal["json", "text", "auto"], doc("json, text, or auto: text on a terminal.")] = "auto"


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything, in the order of the file."""

    data: Data = Data()
    gateway: Gateway = Gateway()
    http: Http = Http()
    postgres: PostgresSection = PostgresSection()
    redis: RedisSection = RedisSection()
    auth: Auth = Auth()
    tenants: dict[str, Tenant] = {}
    limits: Limits = Limits()
    journal: Journal = Journal()
    filters: Filters = Filters()
    tenant_filters: dict[str, Filters] = {}
    hook: Hook = Hook()
    match: Match = Match()
    queues: dict[str, Queue] = {}
    messages: Messages = Messages()
    retention: Retention = Retention()
    presence: Presence = Presence()
    uploads: Uploads = Uploads()
    moderation: Moderation = Moderation()
    admins: dict[str, Admin] = {}
    drain: Drain = Drain()
    metrics: Metrics = Metrics()
    log: Log = Log()


# Sections of which there may be several, each with a name.
NAMED: dict[str, type[Section]] = {"tenants": Tenant, "queues": Queue, "tenant_filters": Filters, "admins": Admin}
SECRETS = ("secret", "s3_secret", "dsn", "url", "password", "token")


def is_secret(name: str) -> bool:
    """Whether the value of a key of this name must not be shown."""
    return name in SECRETS
