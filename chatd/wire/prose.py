"""The parts of the reference that are told rather than listed."""

HEAD = """\
# The protocol of chatd

Generated from the code by `chatd schema --write docs`. Whatever is not said here is not promised.

## Doors

| door | default | what |
|---|---|---|
| WebSocket | `ws://127.0.0.1:8080/v1/ws` | clients |
| HTTP | `http://127.0.0.1:8081` | REST for clients under `/v1`, `/healthz`, `/readyz`, `/v1/socket/ping`, `/openapi.json` |

## Try it with any WebSocket client

    TOKEN=$(curl -s -X POST localhost:8081/v1/auth/anonymous -H 'Content-Type: application/json' -d '{"name":"me"}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')
    wscat -s chatd.v1.json -H "Authorization: Bearer $TOKEN" -c ws://127.0.0.1:8080/v1/ws

    < [0,{"t":"connected","session":"0190...","user":"0190...","tenant":"default","heartbeat":25.0,...}]
    > [1,{"t":"conversation.open","user":"0190...ID OF SOMEBODY ELSE"}]
    < [1,{"t":"conversation","conversation":{"id":"0191...","kind":"direct","seq":0,...},"created":true}]
    > [2,{"t":"message.send","conversation":"0191...","client_id":"first","text":"hello"}]
    < [2,{"t":"message.ack","client_id":"first","message":"0191...","seq":1,"rev":3,...,"status":"sent","duplicate":false}]

## Connecting

* Subprotocols: `chatd.v1.msgpack` (binary frames) and `chatd.v1.json` (text frames). None offered: msgpack. A codec never changes within a connection.
* Credentials, the first that is present: `Authorization: Bearer JWT`; an offered subprotocol `bearer.JWT` (for browsers; never echoed); `?ticket=` (single use, from
  `POST /v1/auth/ticket`); `?token=JWT` where `auth.query_token` is on.
* Refused before the upgrade, with a JSON body that has `code` and `message`: 401 none or a bad credential; 403 banned, or a foreign `Origin`; 429 and 503 with `Retry-After`
  when there are too many, or the server is about to stop.
* The server pings after `heartbeat` seconds of silence and lets go after twice that; any traffic counts.
* A minute before the token ends comes `token.expiring`: send `auth.refresh` with a fresh one, or the socket closes with 4001.

## Frames

Every frame is one array `[id, body]`; `body` is a map whose `t` names its type.

* Client to server: `[7, {"t": "message.send", ...}]`; `id` is an integer from 1 to 2^32-1, chosen by the client.
* Answer: the same `id`, with a result or `{"t": "error", "code", "message", "retryable", "retry_after"?, "details"?}`.
* Event: `id` 0. The first frame from the server is the event `connected`.
* Commands of one connection are handled one after the other, in the order in which they were sent.
* Unknown fields in a command are refused by name; clients must ignore unknown fields and unknown events. What is not an `[id, body]` array closes the socket with 4400.
* Of a key that is there twice, the last one counts.
* Times are integer milliseconds since 1970 UTC, ids UUIDs in lower case, sizes bytes, durations seconds.
* A message has at most 64 KiB and 64 frames (`limits` in `connected` says what counts). There is no compression.

## What is promised

* Acked means committed. Each conversation has a gap-free `seq`, the same for everybody; `rev` numbers its changes.
* Sending again with the same `client_id` gives the same ack and no second message, for ever, over the socket and REST alike.
* On one connection the events of a conversation, and the acks of what it sends there, come in the order of `rev`. A jump means that something was missed: sync.
* Not acked means unknown: send it again with the same `client_id`. A refusal that is not `retryable` never appears later.
* Typing is at most once, and may be dropped for a slow reader. A session that does not read is closed with 4000 and comes back with its position.
"""

SYNC = """\
## Coming back

1. Connect, and wait for `connected`. From then on events come.
2. `session.sync` with the last cursor (none the first time) names the conversations that changed; go on while `more`, keep the cursor.
3. For each whose `rev` is beyond yours: `conversation.sync` with your rev; go on while `more`, with the rev it gave.
4. Drop what you have by `(conversation, seq)`. Live events of a conversation that you are syncing fit in by their `rev`.

The cursor never misses a change; it may repeat a state that you know. A first sync gives positions, not history: read that with `message.history` as far back as you show it.
"""
