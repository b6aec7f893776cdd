import { type Fetch } from "./rest.js";
import { type KeyValueStorage } from "./storage.js";
import type { TokenProvider } from "./tokens.js";
import type { SignUp } from "./wire.js";
export interface GuestOptions extends Omit<SignUp, "t" | "device"> {
    /** The HTTP address of the server; on a page of the server itself, it may be left out. */
    url?: string;
    storage?: KeyValueStorage;
    /** Several accounts in one storage have different names. */
    key?: string;
    fetch?: Fetch;
}
/** The account of a guest, who is the same user again on this device. `token` is the token provider of a client. */
export interface Guest {
    token: TokenProvider;
    /** Signs up, unless that has happened before. Returns the user id. Throws Refused, Disconnected. */
    signUp(name?: string): Promise<string>;
    /** Whether somebody has signed up here and not out again. */
    isSignedUp(): Promise<boolean>;
    /** Forgets the account on this device. Call `client.logout()` before. */
    forget(): Promise<void>;
}
export declare function guest(options?: GuestOptions): Guest;
export declare function pageOrigin(): string;
export declare function defaultFetch(): Fetch;
