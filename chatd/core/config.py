"""The settings: one frozen struct per section of `chatd.toml`, with every default.

A size in bytes has `bytes` in its name; durations are seconds unless the name has another unit. `doc` of a field is the comment
that `chatd init` writes above it. `core/settings.py` reads the values.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from chatd.core import setting_rules as rules

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
BaseAddress = Annotated[str, ruled(rules.base_address)]
Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[section]` of the file."""


def doc(text: str) -> Meta:
    return Meta(description=text)


class Data(Section, frozen=True):
    dir: Annotated[str, doc("Directory of the embedded Postgres, the embedded Redis and the uploads.")] = "./chatd-data"
    secret: Annotated[
        str,
        doc("Key for address bans and everything else that is not a token: at least 32 bytes, the same on all nodes."),
        doc("If empty, a key is generated once and kept in dir."),
    ] = ""
    secret_file: Annotated[str, doc("File that contains the secret, instead of secret.")] = ""


class Gateway(Section, frozen=True):
    host: Annotated[Host, doc("Address that the WebSocket port binds to.")] = "127.0.0.1"
    port: Annotated[Port, doc("WebSocket port; 0 lets the operating system choose.")] = 8080
    path: Annotated[str, ruled(rules.path), doc("Path of the WebSocket endpoint.")] = "/v1/ws"
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
        Duration, doc("Seconds without traffic after which the server sends a ping; after twice that it closes the connection.")
    ] = 25.0
    max_message_bytes: Annotated[Count, doc("Maximum size of a WebSocket message, in bytes.")] = 65536
    max_frames: Annotated[Count, doc("Maximum number of WebSocket frames per message.")] = 64
    max_depth: Annotated[Count, doc("Maximum nesting depth of the JSON or msgpack in a message.")] = 16
    outbox_bytes: Annotated[Bytes, doc("Maximum bytes queued for a slow client.")] = 1_048_576
    outbox_frames: Annotated[Count, doc("Maximum frames queued for a slow client.")] = 1024
    stall_timeout: Annotated[Duration, doc("Seconds after which a client that reads nothing at all is closed with 4000.")] = 10.0
    backlog: Annotated[Count, doc("Length of the operating system's queue of connections that wait for accept.")] = 4096
    reuse_port: Annotated[bool, doc("Let other processes listen on both ports as well (SO_REUSEPORT). `--workers` sets it.")] = (
        False
    )


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
    admin_hosts: Annotated[list[Host], doc("Host names that /admin answers to, besides localhost and IP addresses.")] = []
    cors_origins: Annotated[list[Origin], doc('Browser origins that may call the REST API; "*" allows any.')] = []


class PostgresSection(Section, frozen=True):
    dsn: Annotated[
        str,
        doc("Connection string, such as postgresql://user:password@host:5432/chatd; if empty, the embedded Postgres is started."),
    ] = ""
    dsn_file: Annotated[str, doc("File that contains the connection string, instead of dsn.")] = ""
    pool: Annotated[Count, doc("Connections for everything except the message log ([journal]).")] = 8
    user_connections: Annotated[
        Count, doc("Maximum pool connections used by one user's commands at the same time; further commands wait.")
    ] = 2
    reserved: Annotated[Count, doc("Pool connections reserved for sign-in and background work.")] = 2
    timeout: Annotated[
        Duration,
        doc("Timeout in seconds of a statement, and of a command with all of its statements; the client then gets `timeout`."),
    ] = 5.0
    allow_unsafe_durability: Annotated[
        bool, doc("Start even if fsync or synchronous_commit is off. Acknowledged messages can be lost.")
    ] = False


class RedisSection(Section, frozen=True):
    url: Annotated[
        str,
        doc("redis://user:password@host:6379/0 or rediss://...; if empty, host is used, or else the embedded Redis."),
    ] = ""
    url_file: Annotated[str, doc("File that contains the URL, instead of url.")] = ""
    host: Annotated[Host, doc("Host, instead of url.")] = ""
    port: Annotated[Port, doc("Port, together with host.")] = 6379
    username: Annotated[str, doc("ACL user, together with host.")] = ""
    password: Annotated[str, doc("Password, together with host.")] = ""
    password_file: Annotated[str, doc("File that contains the password, instead of password.")] = ""
    tls: Annotated[bool, doc("Use TLS, together with host.")] = False
    prefix: Annotated[str, doc("Prefix of every key of this cluster.")] = "chatd"
    stream_key: Annotated[str, doc("Stream that holds the event log of the match pool.")] = "match"


class Auth(Section, frozen=True):
    secret: Annotated[
        str, doc("HS256 key of the default tenant, at least 32 bytes. Anyone who has it can sign in as any user.")
    ] = ""
    secret_file: Annotated[str, doc("File that contains the secret, instead of secret.")] = ""
    algorithm: Annotated[Algorithm, doc("HS256, RS256, ES256 or EdDSA. The algorithm that a token names is never used.")] = (
        "HS256"
    )
    jwks: Annotated[str, doc("JWKS of an identity provider (a file, or an https URL), for all algorithms except HS256.")] = ""
    issuer: Annotated[str, doc("Required `iss` claim; if empty, it is not checked.")] = ""
    audience: Annotated[str, doc("Required `aud` claim; if empty, it is not checked.")] = ""
    access_ttl: Annotated[Lifetime, doc("Lifetime of an access token, in seconds.")] = 900.0
    refresh_ttl: Annotated[Lifetime, doc("Lifetime of a refresh token, in seconds; each rotation starts it again.")] = 2_592_000.0
    ticket_ttl: Annotated[Lifetime, doc("Lifetime of a connection ticket, in seconds.")] = 30.0
    leeway: Annotated[Seconds, doc("Tolerated clock difference, in seconds.")] = 5.0
    anonymous: Annotated[bool, doc("Allow anonymous sign-up, with nothing but a device id.")] = True
    create_users: Annotated[bool, doc("Create the user when a valid token names an unknown user id.")] = True
    query_token: Annotated[bool, doc("Accept ?token=JWT. URLs end up in logs: prefer ?ticket=.")] = False


class Tenant(Section, frozen=True):
    secret: Annotated[str, doc("HS256 key of this tenant.")] = ""
    secret_file: Annotated[str, doc("File that contains the secret, instead of secret.")] = ""
    algorithm: Annotated[Algorithm, doc("HS256, RS256, ES256 or EdDSA.")] = "HS256"
    jwks: Annotated[str, doc("JWKS of this tenant's identity provider.")] = ""
    issuer: Annotated[str, doc("Required `iss` claim.")] = ""
    audience: Annotated[str, doc("Required `aud` claim.")] = ""
    retention_days: Annotated[
        int, Meta(ge=-1, le=36_500), doc("Days that messages are kept; 0 keeps them forever, -1 means as in [retention].")
    ] = -1


class Limits(Section, frozen=True):
    connections: Annotated[Count, doc("Maximum connections of this process.")] = 100_000
    connections_per_address: Annotated[Count, doc("Maximum connections per address (/64 for IPv6).")] = 100
    pending_handshakes: Annotated[Count, doc("Maximum unfinished handshakes of this process.")] = 1000
    pending_per_address: Annotated[Count, doc("Maximum unfinished handshakes per address.")] = 50
    accepts_per_second: Annotated[Count, doc("Maximum new connections per second; the burst is twice that.")] = 1000
    accepts_per_address: Annotated[
        Count,
        doc("The same for each address (/64 for IPv6); checked before accepts_per_second."),
    ] = 100
    commands_per_second: Annotated[Seconds, doc("Maximum commands per second of one connection, weighted by cost.")] = 50.0
    commands_burst: Annotated[Count, doc("Burst of one connection.")] = 200
    user_commands_per_second: Annotated[
        Seconds, doc("Maximum commands per second of one user over all connections and REST, weighted by cost.")
    ] = 100.0
    user_commands_burst: Annotated[Count, doc("Burst of one user.")] = 400
    control_frames_per_second: Annotated[Seconds, doc("Maximum pings and pongs per second of one connection.")] = 20.0
    signups_per_minute: Annotated[Seconds, doc("Maximum anonymous sign-ups per minute and address.")] = 60.0
    auth_failures_per_minute: Annotated[
        Seconds, doc("Maximum rejected credentials per minute and address; further attempts get `rate_limited`.")
    ] = 120.0
    rotations_per_hour: Annotated[Count, doc("Maximum token refreshes of one login within an hour.")] = 120
    sessions_per_user: Annotated[Count, doc("Maximum simultaneous connections of one user.")] = 50
    members: Annotated[Count, doc("Maximum members of a group.")] = 10_000
    conversations_per_user: Annotated[
        Count, doc("Maximum conversations of one user; beyond it the user can neither join nor be added to another one.")
    ] = 5_000
    stars_per_user: Annotated[Count, doc("Maximum starred messages of one user.")] = 10_000
    blocks_per_user: Annotated[Count, doc("Maximum users that one user can block.")] = 10_000
    logins_per_user: Annotated[
        Count, doc("Maximum logins of a user who signs up with a device id; a new login ends the oldest one.")
    ] = 100
    text_bytes: Annotated[Count, doc("Maximum size of a message text, in bytes of UTF-8.")] = 16_384
    payload_bytes: Annotated[Count, doc("Maximum size of `meta` and `attachments` of a message together, in bytes of JSON.")] = (
        8192
    )


class Journal(Section, frozen=True):
    flushers: Annotated[Count, doc("Number of connections that commit messages, each for its share of the conversations.")] = 2
    batch: Annotated[Count, doc("Maximum messages per commit.")] = 500
    waiting: Annotated[Count, doc("Maximum messages that wait to be committed; further ones are rejected.")] = 20_000
    deadline: Annotated[
        Duration,
        doc("Seconds within which a message must be committed after it arrives; otherwise the sender gets `unavailable`."),
    ] = 5.0


class Filters(Section, frozen=True):
    words: Annotated[list[str], doc("Unwanted words and phrases; docs/filters.md says which spellings are found.")] = []
    words_file: Annotated[str, doc("File of words, one per line, instead of words.")] = ""
    action: Annotated[
        Literal["reject", "mask"], doc("What to do when one is found: reject the message, or mask the word with asterisks.")
    ] = "reject"
    links: Annotated[
        Literal["any", "none", "listed"], doc("Links allowed in texts: any, none, or listed (only those to link_hosts).")
    ] = "any"
    link_hosts: Annotated[list[str], doc("Hosts that links may point to, with their subdomains.")] = []
    links_denied: Annotated[list[str], doc("Hosts that no link may point to.")] = []


class Hook(Section, frozen=True):
    url: Annotated[
        WebAddress, doc("URL of the moderation hook, called before each message is stored; empty switches it off.")
    ] = ""
    secret: Annotated[str, doc("Key that signs each request to the hook, at least 32 bytes.")] = ""
    secret_file: Annotated[str, doc("File that contains the secret, instead of secret.")] = ""
    timeout: Annotated[Duration, doc("Timeout of the hook, in seconds.")] = 1.0
    on_failure: Annotated[
        Literal["allow", "reject"], doc("What to do when the hook fails: allow stores the message, reject answers `unavailable`.")
    ] = "reject"
    allow_private: Annotated[bool, doc("Allow the hook to be on a private address, and to use http without TLS.")] = False
    max_waiting: Annotated[Count, doc("Maximum messages that wait for the hook; for further ones the hook counts as failed.")] = (
        100
    )


class Match(Section, frozen=True):
    relax: Annotated[
        Seconds,
        doc("Seconds of waiting after which `should` is dropped; common tags and recent partners follow at the same interval."),
    ] = 5.0
    confirm: Annotated[Seconds, doc("Seconds within which both users must confirm a match; 0 needs no confirmation.")] = 0.0
    longest: Annotated[Duration, doc("Seconds after which a ticket expires.")] = 600.0
    grace: Annotated[Seconds, doc("Seconds for which a disconnected user keeps the ticket or the match.")] = 10.0
    recent: Annotated[
        int, Meta(ge=0, le=10_000), doc("Number of recent partners that a user is not matched with again while there are others.")
    ] = 20


class Queue(Section, frozen=True):
    size: Annotated[int, Meta(ge=2, le=20), doc("Number of users in a match.")] = 2
    relax: Annotated[Seconds | None, doc("As in [match].")] = None
    confirm: Annotated[Seconds | None, doc("As in [match].")] = None
    longest: Annotated[Seconds | None, doc("As in [match].")] = None


class Messages(Section, frozen=True):
    edit_window: Annotated[Seconds, doc("Seconds within which a message can be edited; 0 sets no limit.")] = 0.0
    edit_history: Annotated[
        Literal["members", "sender", "nobody"], doc("Who may read the earlier versions of an edited message.")
    ] = "members"
    edits: Annotated[Count, doc("Maximum edits of one message.")] = 50
    edits_per_minute: Annotated[Count, doc("Maximum edits of one message within a minute.")] = 10
    reactions: Annotated[Literal["many", "one"], doc("Whether a user may have many reactions to a message, or one.")] = "many"
    receipts_up_to: Annotated[
        Count, doc("Largest group in which receipts are broadcast to the members; in larger groups clients query them.")
    ] = 500
    scheduled_per_user: Annotated[Count, doc("Maximum scheduled messages of one user.")] = 100


class Retention(Section, frozen=True):
    days: Annotated[
        int,
        Meta(ge=0, le=36_500),
        doc("Days that messages are kept; 0 keeps them forever. A conversation can set fewer, never more."),
    ] = 0
    anonymous_days: Annotated[
        int,
        Meta(ge=0, le=36_500),
        doc("Days after which an anonymous account is removed if its login has expired and it has left no data; 0 means never."),
    ] = 90


class Presence(Section, frozen=True):
    grace: Annotated[Seconds, doc("Seconds after a user's last connection ends until others see the user as offline.")] = 20.0
    shown_to: Annotated[
        Literal["nobody", "contacts", "everybody"], doc("Who can see the presence of a user who has not chosen otherwise.")
    ] = "everybody"
    typing_members: Annotated[Count, doc("Largest conversation in which typing is broadcast.")] = 200


class Uploads(Section, frozen=True):
    dir: Annotated[
        str,
        doc("Folder for uploaded files; if empty, uploads below data.dir. Nodes on several machines must share it."),
    ] = ""
    s3_endpoint: Annotated[BaseAddress, doc("URL of an S3-compatible store, such as https://s3.eu-central-1.amazonaws.com.")] = ""
    s3_bucket: Annotated[str, doc("Bucket for uploaded files, instead of a folder.")] = ""
    s3_region: Annotated[str, doc("Region used to sign requests.")] = "us-east-1"
    s3_key: Annotated[str, doc("Access key id. It needs s3:GetObject, s3:PutObject and s3:DeleteObject.")] = ""
    s3_secret: Annotated[str, doc("Secret access key.")] = ""
    s3_secret_file: Annotated[str, doc("File that contains the secret access key, instead of s3_secret.")] = ""
    max_bytes: Annotated[Bytes, doc("Maximum size of a file, in bytes.")] = 10_485_760
    max_pixels: Annotated[Count, doc("Maximum pixels of an image, all frames together.")] = 25_000_000
    timeout: Annotated[Duration, doc("Seconds within which an upload must arrive.")] = 60.0
    user_quota_bytes: Annotated[Bytes, doc("Maximum bytes that one user may upload within 24 hours.")] = 104_857_600
    address_quota_bytes: Annotated[
        Bytes, doc("Maximum bytes that all anonymous accounts of one address (/64 for IPv6) may upload within 24 hours.")
    ] = 1_073_741_824
    user_per_minute: Annotated[Count, doc("Maximum uploads per minute of one user, on each node.")] = 30
    public_url: Annotated[
        BaseAddress,
        doc("Public base URL of the HTTP port, preferably a host that serves nothing else; if empty, the bound address."),
    ] = ""


class Admin(Section, frozen=True):
    token: Annotated[str, doc("Bearer token of this admin for /admin: at least 32 random bytes.")] = ""
    token_file: Annotated[str, doc("File that contains the token, instead of token.")] = ""
    tenants: Annotated[
        list[str], doc("Tenants that this admin may act in; if empty, all tenants and the cluster as a whole.")
    ] = []


# A number of strikes and the duration of the ban: "3:1d", "8:ever".
Rung = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}:([1-9][0-9]{0,4}[smhd]|ever)\Z")]
REASONS = ["spam", "abuse", "sexual", "minor", "violence", "other"]
LADDER = ["3:1d", "5:7d", "8:ever"]


class Moderation(Section, frozen=True):
    reasons: Annotated[list[str], doc("Reasons that users can choose for a report.")] = field(default_factory=REASONS.copy)
    reports_per_hour: Annotated[Count, doc("Maximum reports of one user within an hour.")] = 10
    evidence_messages: Annotated[
        Count, doc("Maximum messages kept with a report as evidence, nearest to the reported message.")
    ] = 50
    evidence_bytes: Annotated[Count, doc("Maximum size of that evidence, in bytes.")] = 65_536
    keep_removed: Annotated[
        Seconds,
        doc("Seconds for which a deleted message can still be included in a report; 0 keeps nothing."),
    ] = 86_400.0
    keep_reports: Annotated[Seconds, doc("Seconds for which a resolved report is kept, with its evidence.")] = 15_552_000.0
    strikes: Annotated[
        list[Rung],
        doc(
            'Ban durations by number of strikes (s, m, h, d): "3:1d" means one day from the third strike on; "ever" is permanent.'
        ),
    ] = field(default_factory=LADDER.copy)
    strike_ttl: Annotated[Seconds, doc("Seconds after which a strike no longer counts; 0 means that it always counts.")] = (
        7_776_000.0
    )
    appeals: Annotated[
        str, doc("How to appeal, such as an e-mail address or a URL. Shown to banned users; empty shows nothing.")
    ] = ""
    show_reason: Annotated[bool, doc("Show banned users the reason of the ban.")] = False


class Drain(Section, frozen=True):
    notice: Annotated[
        Seconds,
        doc("Seconds after SIGTERM during which both ports still accept clients: longer than a health check interval."),
    ] = 2.0
    timeout: Annotated[Seconds, doc("Maximum seconds after that notice until the process exits.")] = 10.0
    spread: Annotated[Seconds, doc("Seconds over which clients are told to reconnect, each at a different moment.")] = 5.0


class Metrics(Section, frozen=True):
    token: Annotated[
        str,
        Meta(pattern=r"^(\S{16,})?$"),
        doc("Token for /metrics, at least 16 bytes; without it only requests from localhost are answered."),
    ] = ""
    token_file: Annotated[str, doc("File that contains the token, instead of token.")] = ""


class Log(Section, frozen=True):
    level: Annotated[Literal["debug", "info", "warning", "error"], doc("debug, info, warning or error.")] = "info"
    format: Annotated[Literal["json", "text", "auto"], doc("json, text, or auto (text on a terminal, else json).")] = "auto"


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All sections, in the order of the file."""

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


# Families of sections, each with a name of its own: [tenants.acme].
NAMED: dict[str, type[Section]] = {"tenants": Tenant, "queues": Queue, "tenant_filters": Filters, "admins": Admin}
SECRETS = ("secret", "s3_secret", "dsn", "url", "password", "token")


def is_secret(name: str) -> bool:
    """Whether the value of a key of this name must not be shown."""
    return name in SECRETS
