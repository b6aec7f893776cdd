import { Refused } from "./errors.js";
/** Returns an access token. `stale` is a token that has expired or was refused: return another one. Throw Refused or
 * Ended if there will be none; any other error is retried. */
export type TokenProvider = (stale?: string) => string | Promise<string>;
/** The access token of the client. Concurrent callers get the same one. */
export declare class Tokens {
    private readonly provider;
    private current;
    private asking;
    /** The token that was fetched because the server had refused the one before. */
    private fresh;
    /** A token of a login that has ended. */
    private ended;
    constructor(provider: TokenProvider);
    get(): Promise<string>;
    /** A token other than `stale`. */
    renew(stale: string): Promise<string>;
    /** Fetches another token after the server has refused this one. Throws Ended if it was fetched just before. */
    replace(refused: string, reason: Refused): Promise<void>;
    /** The server has accepted the token. */
    accepted(): void;
    /** The login has ended: the tokens given so far are stale, also one that is on its way. */
    forget(): void;
    private ask;
    private fetch;
}
/** The claims of a token, unverified: they only name the place where data of this user is stored. */
export declare function claimsOf(token: string): Record<string, unknown>;
