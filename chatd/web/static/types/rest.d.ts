import { Refused } from "./errors.js";
import { Lifetime } from "./lifetime.js";
import type { Tokens } from "./tokens.js";
import type { Body } from "./wire.js";
export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;
export declare class Rest {
    readonly url: string;
    readonly fetch: Fetch;
    private readonly tokens;
    readonly life: Lifetime;
    constructor(url: string, fetch: Fetch, tokens: Tokens, life?: Lifetime);
    /** A command by its route. `session`: the session that gets no event of it. Throws Refused, Disconnected. */
    command(command: Body, session: string): Promise<Body>;
    /** A request with the token of the user; it is repeated with another token if the server refuses the first. */
    json(method: string, path: string, headers?: Record<string, string>, body?: unknown): Promise<Body>;
    /** What `read` makes of the response, whatever its status is. Throws Disconnected. */
    request<T>(path: string, init: RequestInit, read: Read<T>, timeoutMs?: number): Promise<T>;
    /** A request without a token. Throws Disconnected, and what `read` throws. */
    open<T>(path: string, headers: Record<string, string>, read: Read<T>): Promise<T>;
}
/** Reads a response. `expect`: the request ends after so many milliseconds from now, unless it is called again. */
export type Read<T> = (response: Response, expect: (ms: number) => void) => Promise<T>;
/** One request, until its response is read. Throws Disconnected if that takes too long or breaks off, the reason of an
 * aborted signal, and what `read` throws. */
export declare function exchange<T>(fetch: Fetch, url: string, init: RequestInit, read: Read<T>, timeoutMs?: number): Promise<T>;
/** The result in a response. Throws Refused, Disconnected. */
export declare function bodyOf(response: Response): Promise<Body>;
/** The refusal of an error response. A proxy that answers in the place of the server gives no code. */
export declare function refusedBy(response: Response, body: unknown): Refused;
