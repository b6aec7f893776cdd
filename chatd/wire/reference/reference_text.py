"""The parts of the reference that are written by hand."""

HEAD = """\
# The chatd protocol

Generated from the code by `chatd schema --write docs`. Anything not documented here may change without notice. Beside
this file are `openapi.json` (OpenAPI 3.1 of the REST API) and `chatd.d.ts` (all types for TypeScript);
`chatd schema --json` prints JSON Schema.

[A first session](#a-first-session) · [Connecting](#connecting) · [Access tokens](#access-tokens) · [Frames](#frames) ·
[REST](#rest) · [Without WebSocket](#without-websocket) · [Attachments](#attachments) · [Guarantees](#guarantees) ·
[Limits](#limits) · [Commands](#commands) · [Results](#results) · [Other routes](#other-routes) · [Events](#events) ·
[Parts](#parts) · [Read and unread](#read-and-unread) · [Reconnecting](#reconnecting) · [Refusals](#refusals) ·
[Close codes](#close-codes) · [Server commands](#server-commands) · [Admin commands](#admin-commands)

## Endpoints

| endpoint | default | for |
|---|---|---|
| WebSocket | `ws://127.0.0.1:8080/v1/ws` | clients |
| HTTP | `http://127.0.0.1:8081` | REST for clients under `/v1`, [backends](#server-commands) under `/v1/server`, [admins](#admin-commands) under `/admin`, and the probes below |

## A first session

Sign up two users over REST. An account is a user id and two tokens.

    curl -s localhost:8081/v1/auth/anonymous -H 'Content-Type: application/json' -d '{"name":"Alice"}'
    {"t":"auth.tokens","user":"<ALICE>","access_token":"<TOKEN OF ALICE>","refresh_token":"cr_...","expires_in":900}
    curl -s localhost:8081/v1/auth/anonymous -H 'Content-Type: application/json' -d '{"name":"Bob"}'
    {"t":"auth.tokens","user":"<BOB>","access_token":"<TOKEN OF BOB>","refresh_token":"cr_...","expires_in":900}

Connect as Alice with any WebSocket client, here [wscat](https://www.npmjs.com/package/wscat), and type the lines that
begin with `>`:

    wscat -s chatd.v1.json -H 'Authorization: Bearer <TOKEN OF ALICE>' -c ws://127.0.0.1:8080/v1/ws

    < [0,{"t":"connected","session":"...","user":"<ALICE>","tenant":"default","server_time":1770000000000,"heartbeat":25.0,"expires_at":1770000900000,"limits":{...},"maintenance":false}]
    > [1,{"t":"conversation.open","user":"<BOB>"}]
    < [1,{"t":"conversation","conversation":{"id":"<CONVERSATION>","kind":"direct","title":null,"seq":0,"rev":2,...},"created":true}]
    > [2,{"t":"message.send","conversation":"<CONVERSATION>","client_id":"first","text":"hello"}]
    < [2,{"t":"message.ack","client_id":"first","message":"...","seq":1,"rev":3,"created_at":1770000001000,"duplicate":false,"status":"sent"}]
    > [3,{"t":"message.send","conversation":"<CONVERSATION>","client_id":"second","txt":"hello"}]
    < [3,{"t":"error","code":"bad_request","message":"$: object contains unknown field txt","retryable":false}]

Bob, connected in another terminal, receives:

    < [0,{"t":"conversation.update","conversation":{"id":"<CONVERSATION>","kind":"direct",...}}]
    < [0,{"t":"message.new","conversation":"<CONVERSATION>","rev":3,"message":{"id":"...","seq":1,"sender":"<ALICE>","client_id":"first","text":"hello",...}}]
    > [1,{"t":"receipt.read","conversation":"<CONVERSATION>","seq":1}]
    < [1,{"t":"ok"}]

The same in Python with the package `websockets`:

    import json
    from websockets.sync.client import connect

    with connect("ws://127.0.0.1:8080/v1/ws", subprotocols=["chatd.v1.json"], compression=None,
                 additional_headers={"Authorization": "Bearer <TOKEN OF ALICE>"}) as socket:
        print(socket.recv())
        socket.send(json.dumps([1, {"t": "ping", "ts": 0}]))
        print(socket.recv())

If a client can set neither headers nor subprotocols, use a ticket, and `codec=json` for text frames:

    python -m websockets 'ws://127.0.0.1:8080/v1/ws?codec=json&ticket=ct_...'

## Connecting

* Subprotocols: `chatd.v1.msgpack` (binary frames) and `chatd.v1.json` (text frames). If the client offers none,
  `?codec=msgpack` or `?codec=json` selects the codec; the default is msgpack. The codec of a connection never changes.
  Compression is not supported.
* Credentials are read from the first of these that is present: `Authorization: Bearer JWT`; a subprotocol `bearer.JWT`
  offered beside the codec (for browsers; the server never echoes it); `?ticket=` (from `POST /v1/auth/ticket`, works
  once within half a minute); `?token=JWT` if `auth.query_token` is on.
* A connection that is refused before the upgrade gets a JSON body with `code` and `message`: 401 missing or invalid
  credentials; 403 banned, or an `Origin` that is not allowed; 404 another path; 400, 426 and 431 not a valid WebSocket
  handshake; 429 and 503, with `Retry-After`, if there are too many connections or the server is about to stop.
* The first frame is the event `connected`. Events follow from then on.
* After `heartbeat` seconds without traffic the server sends a ping; after twice that time without traffic it closes the
  connection. A client that receives nothing for twice `heartbeat` should reconnect.
* A minute before the access token expires the server sends `token.expiring`. Send `auth.refresh` with a new token;
  otherwise the server closes the connection with 4001.
* After a close or a lost connection, reconnect with a random delay that doubles from one second up to a minute, unless
  the [close code](#close-codes) says otherwise.

## Access tokens

An access token is a JWT in compact form of at most 8192 bytes. `POST /v1/auth/anonymous` returns one; your own backend
can sign tokens with the secret (HS256) or the private key (RS256, ES256, EdDSA through JWKS) of the tenant. The
algorithm is configured, and never taken from the token.

| claim | | |
|---|---|---|
| `sub` | required | user id (a UUID), or external id: any other text of at most 255 bytes, see [auth.md](auth.md#user-ids-and-external-ids) |
| `exp` | required | seconds since 1970 UTC |
| `tid` | optional | tenant; by default the one whose `issuer` is `iss`, else `default` |
| `jti` | optional | id of the token |
| `nbf`, `iat`, `iss`, `aud` | optional | checked if present, and if configured |
| `scope`, `scp` | optional | scopes, see [auth.md](auth.md#access-tokens); one of them must be `user`, or the configured one |
| `name`, `picture`, `locale`, `roles` | optional | stored with the user, see [auth.md](auth.md#name-picture-language-and-roles) |

Refresh tokens are opaque and work once: `POST /v1/auth/refresh` returns the next pair. After a lost answer, present the
same token again within `auth.refresh_grace`. Reusing a refresh token later revokes the login, because it means the
token was stolen.

## Frames

Every frame is an array `[id, body]`; `body` is a map, and its `t` names its type.

* Command, from client to server: `[7, {"t": "message.send", ...}]`. The client chooses `id`, an integer from 1 to
  2^32-1.
* Answer: the same `id`, with the result of the command or an [`error`](#error).
* Event: `id` 0.
* A command may have `id` 0 if its description says so: `[0, {"t": "typing.start", ...}]`. It has the same effects and
  costs, but no answer. If it is refused, the event [`error`](#commandrefused) has the refusal, and its type as
  `command`. Any other command under `id` 0 is refused with `bad_request` in the same way.
* The commands of one connection are executed one after the other, in the order in which they were sent. Clients need
  not wait for an answer before they send the next command.
* Unknown fields in a command are refused by name. Clients must ignore unknown fields, unknown events and unknown codes.
* A body that does not have the declared form is answered with `bad_request` under its id; the message begins with the
  path: `$.text: expected str | null, got int`. An unknown `t` is answered with `unknown_command`.
* Unreadable content, such as half of a surrogate pair, `NaN`, invalid UTF-8 in a msgpack string or a nesting that is
  too deep, is answered with `bad_request` as well.
* If a key occurs twice, its last value counts.
* A message that is not an `[id, body]` array of the negotiated codec closes the connection with 4400.
* Times are integer milliseconds since 1970 UTC, ids are UUIDs in lower case, sizes are bytes, durations are seconds.
* Integers fit into 64 bits with a sign. Text contains no NUL. `meta` contains JSON values, at most 2000 of them and,
  including the command, 16 levels. `meta`, `attachments` and `actions` of a message have at most 8192 bytes together,
  as JSON (`limits.payload_bytes`); more is refused with `too_large`.
* In msgpack: maps have `str` keys; extension types and `bin` are not allowed.

## REST

Every command that names a path is available over HTTP with the same fields, the same answer including `t`, and the same
refusals.

* Send `Authorization: Bearer JWT`, except for commands that need no sign-in. The server ignores cookies.
* Fields in braces are part of the path. For GET and DELETE the other fields are in the query, each at most once. For
  other methods they are in the body, one JSON object with `Content-Type: application/json`; a missing body is an empty
  object.
* Responses are JSON. A result has status 200; a refusal has the status in the [table](#refusals), and `Retry-After` if
  it has `retry_after`.
* Errors of HTTP itself have the same form: 404 `not_found` no such path; 405 `bad_request` with `Allow`; 408 `timeout`
  the body takes too long; 413 `too_large`; 415 `bad_request` not JSON.

| probe | response |
|---|---|
| `GET /healthz` | 200 while the process is alive |
| `GET /readyz`, `GET /health` | 200 if the server can serve, else 503; see below |
| `GET /v1/socket/ping` | `{"live": true, "url": "ws://...", "sessions": 12}`; 503 if no connections are accepted |
| `GET /openapi.json` | the OpenAPI description |

`/readyz` returns `{"status": ..., "services": {"postgres": {"status": "ready"}, "redis": ..., "background": ...,
"gateway": ...}}`. `status` is one of these:

* `ready`, with 200.
* `degraded`, with 200: Redis or a background service fails; messages are still delivered.
* `away`, with 503: Postgres does not answer, or accepts no writes.
* `draining`, with 503: the server is about to stop.
* `starting`, with 503: migrations run; there are no `services` yet.

The status of a service is `ready`, `away` (no answer), `full`, `read_only` or `failing` (Postgres without writes),
`refusing` (Redis), `degraded` (`failing` has the names of the failing background services) or `draining`.

## Without WebSocket

Where a WebSocket is blocked, `GET /v1/events` on the HTTP endpoint has the same events, and commands go by
[REST](#rest). It is a session like any other: the same limits, presence and closes apply.

* **Server-Sent Events**: without `wait` the response is a stream of type `text/event-stream` that does not end. The
  `data` of each event is one frame, `[0, {...}]`, and its `id` is the position after it. The first frame of a session
  is `connected`. After `heartbeat` seconds without a frame the server sends a comment; a client that receives nothing
  for twice `heartbeat` should reconnect.
* **Long polling**: with `?wait=` (seconds, at most `events.max_wait`) the response is a JSON array of frames, as soon
  as there are any. It is empty after `wait` seconds. The header `Chatd-Position` is the position after the last frame.
* **Position**: send the last one as `?after=` or in the header `Last-Event-ID`. The frames after it follow, in their
  order and each once, also if the response before was lost, if the other form of `/v1/events` is used, and on any node.
  Without a position, or with one that is too old or whose node has ended, a new session begins: its first frame is
  `connected`, and the client [syncs](#reconnecting) as after every connect. A session ends `events.grace` seconds after
  its last request.
* **Credentials**: `Authorization: Bearer JWT`, for clients that set headers (`fetch`). `EventSource` cannot: it needs a
  new `?ticket=` for each connection, so close it on an error and make another one with `?ticket=` and `?after=`. With
  `auth.query_token`, `?token=JWT` works as well. A newer token in a request renews the session. A token that is not
  accepted any more reads nothing, not even `closed`.
* **The end**: the event [`closed`](#closed) is the last one of a session, with the code and the reason of a
  [close frame](#close-codes). A request that is refused has the status of the [refusal](#refusals).
* **Own session**: send the `session` of `connected` in the header `Chatd-Session` of REST commands. The session then
  does not get the events of its own commands, as on a WebSocket; without the header all sessions of the user get them.
  `presence.watch`, `presence.set` and `auth.refresh` need the header, and work on any node.
* A second request of the same session ends the first one. A client that reads too slowly gets `behind` and
  `session.behind`, and is closed with 4000 in the end, as on a WebSocket.
* Browsers allow six connections of HTTP/1.1 to one host. Serve HTTP/2 in your proxy, see
  [operations.md](operations.md).

The first lines of a stream, and a long poll:

    curl -sN localhost:8081/v1/events -H 'Authorization: Bearer <TOKEN OF BOB>'
    retry: 1000
    : chatd

    id: <POSITION>
    data: [0,{"t":"connected","session":"...","user":"<BOB>",...}]

    curl -si 'localhost:8081/v1/events?wait=20&after=<POSITION>' -H 'Authorization: Bearer <TOKEN OF BOB>'
    Chatd-Position: <NEXT POSITION>

    [[0,{"t":"message.new","conversation":"<CONVERSATION>",...}]]

## Attachments

* A client names an attachment: `{"type": "image", "upload": ID}` (`image`, `video`, `audio`, `voice`, `file`),
  `{"type": "link", "url": "https://..."}`, `{"type": "location", "latitude": 38.7, "longitude": -9.1}` or
  `{"type": "contact", "name": "Eve", "phones": [...]}`. Unknown fields are refused.
* The server adds `url`, `mime`, `size`, `name` to an upload, and what it knows of `width`, `height`, `duration`,
  `thumbnail` and `placeholder`. They come from the upload, never from the sender.
* A `voice` has the `waveform` that the server has computed. If it could not, the sender may give one.
* Without `type`, a `url` is a `link`, and an `upload` has the type of its MIME type: `image`, `video`, `audio`, or
  `file`. A `type` that does not fit the content is refused; `file` always fits.
* Clients must ignore attachments of an unknown `type`.

## Guarantees

* An acknowledged message is committed. Each conversation has a gap-free `seq`, which is the same for all members; `rev`
  numbers its changes.
* Sending a message again with the same `client_id` returns the same ack and creates no second message. This holds
  without a time limit, over WebSocket and REST alike.
* On one connection, the events of a conversation, including `behind`, and the acks of messages sent to it arrive in the
  order of `rev`: each `rev` at most once, and never one below the last. If events are skipped, a `behind` precedes the
  next event or ack. A jump of `rev` without a `behind` means the same: sync.
* A connection gets the events of a conversation from the beginning of the membership of its user (`joined_rev`) to its
  end: the last one is the `member.left` of the user, or a `behind`. If a user is removed and added again before older
  events are delivered, the connection may get `behind` instead of events of both memberships; the acks of what it sent
  in the first membership still arrive, in the order of `rev`.
* A bot that sees only what concerns it gets the place of every other message: its `id`, `seq`, `rev` and times, with
  `concealed`, so that its `seq` and `rev` have no gaps either. See `docs/bots.md`.
* A message without an ack has an unknown outcome: send it again with the same `client_id`. A message that was refused
  with a code that is not `retryable` is never delivered later.
* Typing events are delivered at most once, and may be dropped for a slow reader. A session that reads too slowly gets
  `behind` for its conversations, and `session.behind` for its own state, instead of the events that do not fit; its
  commands wait until their answers fit. A session that reads nothing for `gateway.stall_timeout` seconds is closed with
  4000; reconnect with your position.

## Limits

* A message has at most 64 KiB and 64 frames; `limits` in `connected` has the values of this server. A larger message
  closes the connection with 1009.
* Each command costs a number of tokens. A connection and a user each have a token bucket (`commands_per_second`,
  `commands_burst`). If it is empty, the answer is `rate_limited` with `retry_after`; a client that continues at four
  times the rate is closed with 4029.
* Each command is answered within its deadline: `postgres.timeout` or `message_log.deadline`, whichever is longer (5 s each
  by default), plus `hook.timeout` if a hook is set, plus half a second. The deadline starts when the frame or request
  is read, also while the command waits for earlier commands of its connection. After it the answer is `timeout` or
  `unavailable`: the outcome is unknown, so query the state, or send again with the same `client_id`. A command that
  waits for room for its answer has no deadline until there is room.
"""

SYNC = """\
## Read and unread

* Receipts are two positions per member: all messages up to `delivered_seq` are delivered, all up to `read_seq` are
  read. Positions that a member sends at the same time are one change. `message.receipts` lists who has read a message.
* In a group of more than `messages.receipts_up_to` members (500), the positions of other members are not sent and take
  no `rev`; they can be queried. `conversation.sync` may return older positions of members there.
* The sender of a receipt gets `message.read` or `message.delivered` like the other members. In a large group, and in a
  direct conversation with a block, the answer `ok` is all that it gets, and nothing after a receipt under `id` 0.
* `unread` and `mentions` are part of every conversation in `session.sync` and `conversation.list`, and of
  `conversation.update` after another device of the user has read messages. That event has no `rev` of its own: it
  describes the state at `conversation.rev`, so count events with a higher `rev` on top of it.
* Clients derive unread counts themselves; the server does not send them for every message. A `message.new` of another
  user, without `system`, is one more unread message (and one more mention, if `mentions` contains the user or
  `mentions_everybody` is true). A `message.update` with `deleted_at` for a message beyond `read_seq` is one less.
  `unread.total` returns the number for a badge.

## Reconnecting

1. Connect, and wait for `connected`. Events follow from then on.
2. Call `session.sync` with the last cursor (none the first time). It lists the conversations that changed. Continue
   while `more` is true, and store the cursor.
3. For each conversation whose `rev` is beyond yours, call `conversation.sync` with your `rev`. Continue while `more` is
   true, with the `rev` of the answer.
4. Deduplicate messages by `(conversation, seq)`. Order live events of a conversation that you are syncing by their
   `rev`.
5. Send messages that were not acknowledged again, in their order, with the same `client_id`.

The cursor never misses a change; it may repeat a state that you have. The first sync returns positions, not history:
read that with `message.history` as far back as you show it. After `behind` or a jump of `rev`, begin with step 3. For a
user who was added to a conversation, it begins at `joined_seq` and `joined_rev`.
"""

SERVER_API = """\
## Server commands

These commands are for the backend of an app, under `/v1/server` of the HTTP endpoint; they are not available over
WebSocket, and CORS does not apply to them. `docs/server-api.md` is the guide.

* Send `Authorization: Bearer` with a service token. Each command needs one scope of the token; without it the answer is
  `forbidden`. The tenant is that of the token. After too many refused tokens an address has to wait (429).
* A service token is for these commands only: elsewhere it is refused with 401, as is the token of a user or an admin
  here.
* Limits apply to the token (`limits.service_commands_per_second`), not to the user for whom a command acts.
* What a command changes is sent to all devices as the same events that a command of a user causes. The nil UUID
  (`00000000-0000-0000-0000-000000000000`) is the `sender` of messages of the server itself, and no user has this id.
* Any command may also be refused with `bad_request`, `unauthenticated`, `forbidden`, `rate_limited`, `unavailable`,
  `timeout`, `maintenance`, `internal`.
"""
ADMIN = """\
## Admin commands

These commands are for admins only, under `/admin` of the HTTP endpoint; they are not available over WebSocket. Without
an `[admins.NAME]` in the configuration every path there is 404. See `docs/moderation.md`.

* Send `Authorization: Bearer` with the token of the admin. The token of a user is refused here with 401, as is the
  token of an admin elsewhere. After too many refused tokens an address has to wait (429).
* All commands are POST with one JSON object, also those that only read. Other methods get 405, other content types 415,
  and requests from pages of another site 403.
* Each command needs a role: `viewer`, `moderator`, or `operator`. A higher role may do what a lower one may do. Without
  the role the answer is 403 `forbidden`.
* `tenant` names the tenant of the command. A tenant that the admin does not administer is `not_found`.
* Any command may also be refused with `bad_request`, `unauthenticated`, `forbidden`, `rate_limited`, `unavailable`,
  `timeout`, `internal`.
* Changes are recorded in the audit log, in the same transaction.
"""
