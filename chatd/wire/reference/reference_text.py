"""The parts of the reference that are told rather than listed."""

HEAD = """\
# The protocol of chatd

Generated from the code by `chatd schema --write docs`. Whatever is not said here is not promised. Beside this file: `openapi.json` (OpenAPI 3.1 of the REST side) and
`chatd.d.ts` (all types for TypeScript); `chatd schema --json` prints JSON Schema.

[A first session](#a-first-session) · [Connecting](#connecting) · [Access tokens](#access-tokens) · [Frames](#frames) · [REST](#rest) · [Promises](#what-is-promised) ·
[Limits](#limits) · [Commands](#commands) · [Results](#results) · [Events](#events) · [Parts](#parts) · [Read and unread](#read-and-unread) · [Coming back](#coming-back) · [Refusals](#refusals) · [Close codes](#close-codes) ·
[Admin commands](#admin-commands)

## Doors

| door | default | what |
|---|---|---|
| WebSocket | `ws://127.0.0.1:8080/v1/ws` | clients |
| HTTP | `http://127.0.0.1:8081` | REST for clients under `/v1`, [admins](#admin-commands) under `/admin`, and the probes below |

## A first session

Sign up twice over REST: an account is a user id and two tokens.

    curl -s localhost:8081/v1/auth/anonymous -H 'Content-Type: application/json' -d '{"name":"Alice"}'
    {"t":"auth.tokens","user":"<ALICE>","access_token":"<TOKEN OF ALICE>","refresh_token":"cr_...","expires_in":900}
    curl -s localhost:8081/v1/auth/anonymous -H 'Content-Type: application/json' -d '{"name":"Bob"}'
    {"t":"auth.tokens","user":"<BOB>","access_token":"<TOKEN OF BOB>","refresh_token":"cr_...","expires_in":900}

Connect as Alice with any WebSocket client, here [wscat](https://www.npmjs.com/package/wscat), and type the lines that begin with `>`:

    wscat -s chatd.v1.json -H 'Authorization: Bearer <TOKEN OF ALICE>' -c ws://127.0.0.1:8080/v1/ws

    < [0,{"t":"connected","session":"...","user":"<ALICE>","tenant":"default","server_time":1770000000000,"heartbeat":25.0,"expires_at":1770000900000,"limits":{...},"maintenance":false}]
    > [1,{"t":"conversation.open","user":"<BOB>"}]
    < [1,{"t":"conversation","conversation":{"id":"<CONVERSATION>","kind":"direct","title":null,"seq":0,"rev":2,...},"created":true}]
    > [2,{"t":"message.send","conversation":"<CONVERSATION>","client_id":"first","text":"hello"}]
    < [2,{"t":"message.ack","client_id":"first","message":"...","seq":1,"rev":3,"created_at":1770000001000,"duplicate":false,"status":"sent"}]
    > [3,{"t":"message.send","conversation":"<CONVERSATION>","client_id":"second","txt":"hello"}]
    < [3,{"t":"error","code":"bad_request","message":"$: object contains unknown field txt","retryable":false}]

Bob, connected in another terminal, has seen:

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

Where neither headers nor subprotocols can be given, a ticket opens the socket and `codec=json` asks for text: `python -m websockets 'ws://127.0.0.1:8080/v1/ws?codec=json&ticket=ct_...'`.

## Connecting

* Subprotocols: `chatd.v1.msgpack` (binary frames) and `chatd.v1.json` (text frames). None offered: `?codec=msgpack` or `?codec=json`, else msgpack. A codec never changes within a connection. There is no compression.
* Credentials, the first that is present: `Authorization: Bearer JWT`; an offered subprotocol `bearer.JWT` beside the codec (for browsers; never echoed); `?ticket=` (works once, for
  half a minute, from `POST /v1/auth/ticket`); `?token=JWT` where `auth.query_token` is on.
* Refused before the upgrade, with a JSON body that has `code` and `message`: 401 no or a bad credential; 403 banned, or a foreign `Origin`; 404 another path; 400, 426 and 431 not a
  WebSocket handshake; 429 and 503, with `Retry-After`, when there are too many, or the server is about to stop.
* The first frame is the event `connected`. From then on events come.
* The server pings after `heartbeat` seconds of silence and lets go after twice that; any traffic counts. A client that hears nothing for so long should connect again.
* A minute before the token ends comes `token.expiring`: send `auth.refresh` with a fresh one, or the socket closes with 4001.
* After a close or a loss come back with a random delay that doubles from a second to a minute, unless the [close code](#close-codes) says otherwise.

## Access tokens

A JWT in compact form, at most 4096 bytes. `POST /v1/auth/anonymous` gives one; a backend of yours can sign its own with the secret (HS256) or the private key (RS256, ES256, EdDSA through JWKS)
of the tenant. The algorithm is configured, never taken from the token.

| claim | | |
|---|---|---|
| `sub` | required | user id, a UUID |
| `exp` | required | seconds since 1970 UTC |
| `tid` | default `default` | tenant |
| `jti` | optional | names the token |
| `nbf`, `iat`, `iss`, `aud` | optional | looked at when they are there, and when they are configured |
| `scope` | default `user` | anything else is refused |

Refresh tokens are opaque and work once: `POST /v1/auth/refresh` gives the next pair. Using one a second time ends the login, because somebody has a copy.

## Frames

Every frame is one array `[id, body]`; `body` is a map whose `t` names its type.

* Client to server: `[7, {"t": "message.send", ...}]`; `id` is an integer from 1 to 2^32-1, chosen by the client.
* Answer: the same `id`, with the result of the command or `{"t": "error", "code", "message", "retryable", "retry_after"?, "details"?}`.
* Event: `id` 0.
* Commands of one connection are handled one after the other, in the order in which they were sent; there is no need to wait for an answer before the next one.
* Unknown fields in a command are refused by name; clients must ignore unknown fields, unknown events and unknown codes.
* A body that does not fit is answered `bad_request` under its id, and the message begins with the place: `$.text: expected str | null, got int`. An unknown `t` is answered `unknown_command`.
* Content that cannot be read, such as half of a surrogate pair, `NaN`, invalid UTF-8 in a msgpack string or a nesting that is too deep, is answered `bad_request` too. Of a key that is sent twice the last value counts.
* What is not an `[id, body]` array of the negotiated codec closes the socket with 4400.
* Of a key that is there twice, the last one counts.
* Times are integer milliseconds since 1970 UTC, ids UUIDs in lower case, sizes bytes, durations seconds.
* Integers fit 64 bits with a sign; text has no NUL; `meta` holds what JSON can hold, at most 2000 values and, with the command around it, 16 levels. `meta` and `attachments` of a message have at most 8192 bytes together, as JSON (`limits.payload_bytes`); more is refused `too_large`.
* In msgpack: maps with `str` keys, no extension types, no `bin`.

## REST

Every command that names a path is there over HTTP: the same fields, the same answer with its `t`, the same refusals.

* `Authorization: Bearer JWT` for all but those that need nobody. Cookies are never looked at.
* Fields in braces are part of the path. The others are in the query for GET and DELETE, each once; for POST they are in the body, one JSON object with `Content-Type: application/json`. No body is an
  empty object.
* Answers are JSON. 200 for a result; a refusal has the status of the [table](#refusals), and `Retry-After` where it has `retry_after`.
* What HTTP itself refuses looks the same: 404 `not_found` no such path; 405 `bad_request` with `Allow`; 408 `timeout` a body that takes too long; 413 `too_large`; 415 `bad_request` not JSON.

| probe | |
|---|---|
| `GET /healthz` | 200 while the process lives |
| `GET /readyz`, `GET /health` | `{"status": ..., "services": {"postgres": {"status": "ready"}, "redis": ..., "background": ..., "gateway": ...}}`. 200 with `ready`, or with `degraded` (Redis or a background service fails; messages go on); 503 with `away` (Postgres does not answer, or takes no writes), `draining`, or `starting` (migrations run; there are no `services` yet). A service is `ready`, `away` (no answer), `full`, `read_only` or `failing` (Postgres without writes), `refusing` (Redis), `degraded` (with the names of the background services that fail in `failing`) or `draining` |
| `GET /v1/socket/ping` | `{"live": true, "url": "ws://...", "sessions": 12}`; 503 when sockets are not let in |
| `GET /openapi.json` | the description of this side |

## Attachments

* A client names an attachment: `{"type": "image", "upload": ID}` (`image`, `video`, `audio`, `voice`, `file`) or `{"type": "link", "url": "https://..."}`. Unknown fields are refused.
* The server describes it: `upload`, `url`, `mime`, `size`, `name`, and `width` and `height` of images come from the upload, never from the sender.
* Without `type` it is `link` for a `url`, and for an `upload` what its MIME type says: `image`, `video`, `audio`, or `file`. A `type` that does not fit the content is refused; `file` always fits.
* Clients must ignore attachments of an unknown `type`.

## What is promised

* Acked means committed. Each conversation has a gap-free `seq`, the same for everybody; `rev` numbers its changes.
* Sending again with the same `client_id` gives the same ack and no second message, for ever, over the socket and REST alike.
* On one connection the events of a conversation, `behind` among them, and the acks of what it sends there, come in the order of `rev`: each `rev` at most once, and none below one that was given. What is left out is announced by a `behind`
  before the next event or ack. A jump without one means the same: sync.
* A connection gets the events of a conversation from where the membership of its user begins (`joined_rev`) to where it ends: the `member.left` of the user is the last one, or a `behind`. When a user is removed and added again before
  older events are delivered, the connection may get `behind` in the place of events of both memberships; the acks of what it sent in the first one still come, in the order of `rev`.
* Not acked means unknown: send it again with the same `client_id`. A refusal that is not `retryable` never appears later.
* Typing is at most once, and may be dropped for a slow reader. A session that reads too slowly gets `behind` for its conversations, and `session.behind` for its own state, instead of the events that do not fit; its commands wait until their answers fit. One that takes nothing at all for `gateway.stall_timeout` seconds is closed with 4000 and comes back with its position.

## Limits

* A message has at most 64 KiB and 64 frames; `limits` in `connected` says what counts here. More closes the socket with 1009.
* Each command costs so many tokens; a connection and a user each have a bucket of them (`commands_per_second`, `commands_burst`). An empty one is answered `rate_limited` with `retry_after`; going on
  at four times the rate closes the socket with 4029.
* Each command is answered at its deadline at the latest: `postgres.timeout` or `journal.deadline`, whichever is longer (5 s each by default), plus `hook.timeout` where a hook is set, and half a second. It counts from when the frame or request was read,
  also while the command waits for those before it on its connection. Then the answer is `timeout` or `unavailable`: what it did is unknown, so ask again, or send again with the same `client_id`. What waits for room for its answer has no deadline until there is room.
"""

SYNC = """\
## Read and unread

* Receipts are two positions per member: all up to `delivered_seq`, all up to `read_seq`. What one member sends at the same time is one change. `message.receipts` says who has read a message.
* In a group of more than `messages.receipts_up_to` members (500) the positions of others are not told, and take no `rev`; they can be asked for. The state of a member in `conversation.sync` may be old then.
* `unread` and `mentions` come with every conversation of `session.sync` and `conversation.list`, and in `conversation.update` when another device of one's own has read. That event has no `rev` of its own: it is how things stood
  at `conversation.rev`, so whatever has a higher `rev` counts on top of it.
* What everybody can count is not told to each: a `message.new` of somebody else, without `system`, is one more unread (and one more mention, when `mentions` has the user or `mentions_everybody` is true); a
  `message.update` with `deleted_at` for one beyond `read_seq` is one less. `unread.total` has the number for a badge.

## Coming back

1. Connect, and wait for `connected`. From then on events come.
2. `session.sync` with the last cursor (none the first time) names the conversations that changed; go on while `more`, keep the cursor.
3. For each whose `rev` is beyond yours: `conversation.sync` with your rev; go on while `more`, with the rev it gave.
4. Drop what you have by `(conversation, seq)`. Live events of a conversation that you are syncing fit in by their `rev`.
5. Send again what was not acked, in its order, with the same `client_id`.

The cursor never misses a change; it may repeat a state that you know. A first sync gives positions, not history: read that with `message.history` as far back as you show it. Without step 2, as after
`behind` or a jump of `rev`, begin with step 3. Who was added to a conversation begins in it at `joined_seq` and `joined_rev`.
"""

ADMIN = """\
## Admin commands

For admins only, under `/admin` of the HTTP door, and never by the socket. Without an `[admins.NAME]` in the configuration every path there is 404. See `docs/moderation.md`.

* `Authorization: Bearer` and the token of the admin. The token of a user is 401 here, as that of an admin is elsewhere; after too many refused ones an address waits (429).
* Always POST with one JSON object, also to read. Other methods are 405, other types of content 415; what a page of another site sends is 403.
* `tenant` is where it happens. One that is not the admin's is `not_found`.
* Each may also be answered `bad_request`, `unauthenticated`, `forbidden`, `rate_limited`, `unavailable`, `timeout`, `internal`.
* What changes something is in the audit log, written in the same transaction.
"""
