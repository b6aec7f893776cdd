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
    onmessage: ((event: {
        data: unknown;
    }) => void) | null;
    onclose: ((event: {
        code: number;
        reason: string;
    }) => void) | null;
    onerror: ((event: never) => void) | null;
    send(data: string): void;
    close(code?: number, reason?: string): void;
}
export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike;
/** The WebSocket of the browser cannot send headers: the token is offered as a subprotocol, which is never echoed. */
export declare function openSocket(constructor: WebSocketConstructor, url: string, token: string, handlers: Handlers): Transport;
