import type { Ask } from "./store.js";
import { type Readable } from "./readable.js";
import type { PresenceState, User } from "./wire.js";
export declare class Presence {
    private readonly ask;
    private readonly isConnected;
    private readonly cells;
    private readonly states;
    /** In the order in which the app began to look at them. */
    private readonly watched;
    private timer;
    constructor(ask: Ask, isConnected: () => boolean);
    /** The presence of a user, by user id or by the alias in a running match. It is kept up to date while it has subscribers. */
    of(user: string): Readable<PresenceState>;
    private make;
    private watch;
    take(state: PresenceState): void;
    /** A connection has opened: subscriptions begin anew. */
    connected(): void;
    private soon;
    private subscribe;
    stop(): void;
}
export declare class Users {
    private readonly ask;
    private readonly isConnected;
    private readonly cells;
    private readonly known;
    private readonly wanted;
    private timer;
    private isLoading;
    constructor(ask: Ask, isConnected: () => boolean);
    /** The profile of a user; null until it is loaded, or if there is no such user. */
    of(user: string): Readable<User | null>;
    /** Gives up the oldest profile at which the app does not look. */
    private drop;
    /** Keeps the profile if the app has asked for it: the server reports those of all contacts and members. */
    take(user: User): void;
    /** Events may be missing: loads the profiles that the app looks at once more. */
    behind(): void;
    /** A connection has opened. */
    connected(): void;
    private want;
    private soon;
    /** One query after the other, of as many users as the server allows. */
    private load;
    stop(): void;
}
