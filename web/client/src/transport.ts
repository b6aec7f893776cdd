// How frames travel: over a WebSocket, or, where those are blocked, as events of an HTTP response with commands over
// REST. A transport carries one connection.
import type { Refused } from "./errors.js";
import type { Body } from "./wire.js";

export type TransportKind = "socket" | "sse" | "poll";

/** Why a connection has ended. `opened`: the first frame had arrived. */
export interface Close {
  code: number;
  reason: string;
  opened: boolean;
  /** What the server has answered in the place of the first frame, if it is known. */
  refused?: Refused;
  /** The network has changed during the handshake: that says nothing of the transport. */
  doubted?: boolean;
}

export interface Handlers {
  /** Anything has arrived: the connection is alive. */
  alive(): void;
  frame(id: number, body: Body): void;
  /** The command with this id has an unknown outcome. */
  lost(id: number): void;
  closed(close: Close): void;
}

export interface Transport {
  readonly kind: TransportKind;
  /** `text`: the frame as JSON. */
  send(id: number, body: Body, text: string): void;
  close(): void;
  /** The network may have changed. */
  doubt?(): void;
}

/** What a WebSocket of any platform has: browsers, Node 22, React Native, the package `ws`. */
export interface WebSocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}
export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike;

/** The WebSocket of the browser cannot send headers: the token is offered as a subprotocol, which is never echoed. */
export function openSocket(
  constructor: WebSocketConstructor,
  url: string,
  token: string,
  handlers: Handlers,
): Transport {
  let opened = false;
  let ended = false;
  const end = (code: number, reason: string): void => {
    if (ended) return;
    ended = true;
    handlers.closed({ code, reason, opened });
  };
  let socket: WebSocketLike;
  try {
    socket = new constructor(url, ["chatd.v1.json", `bearer.${token}`]);
  } catch {
    // A page with TLS may not open a socket without.
    queueMicrotask(() => end(1006, ""));
    return { kind: "socket", send: () => {}, close: () => end(1000, "") };
  }
  socket.onmessage = ({ data }) => {
    if (ended) return;
    const [id, body] = JSON.parse(String(data)) as [number, Body];
    opened = true;
    handlers.alive();
    handlers.frame(id, body);
  };
  socket.onclose = ({ code, reason }) => end(code, reason);
  socket.onerror = () => {};
  return {
    kind: "socket",
    send: (_id, _body, text) => {
      try {
        socket.send(text);
      } catch {
        end(1006, "");
      }
    },
    close: () => {
      // The closing handshake of a dead connection may take a minute; this client does not wait for it.
      end(1000, "");
      try {
        socket.close(1000);
      } catch {
        // It was never open.
      }
    },
  };
}
