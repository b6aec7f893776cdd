import { Refused } from "./errors.js";
import type { Tokens } from "./tokens.js";
import type { Body } from "./wire.js";
export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;
export declare class Rest {
    readonly url: string;
    readonly fetch: Fetch;
    private readonly tokens;
    constructor(url: string, fetch: Fetch, tokens: Tokens);
    /** A command by its route. `session`: the session that gets no event of it. Throws Refused, Disconnected. */
    command(command: Body, session: string): Promise<Body>;
    /** A request with the token of the user; it is repeated with another token if the server refuses the first. */
    json(method: string, path: string, headers?: Record<string, string>, body?: unknown): Promise<Body>;
    /** The response, whatever its status is. Throws Disconnected. */
    request(path: string, init: RequestInit, timeoutMs?: number): Promise<Response>;
    private once;
}
/** One request. Throws Disconnected if there is no response. */
export declare function fetched(fetch: Fetch, url: string, init: RequestInit, timeoutMs?: number): Promise<Response>;
/** The result in a response. Throws Refused, Disconnected. */
export declare function bodyOf(response: Response): Promise<Body>;
/** The refusal of an error response. A proxy that answers in the place of the server gives no code. */
export declare function refusedBy(response: Response, body: unknown): Refused;
