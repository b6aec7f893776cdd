/** A value that changes: `subscribe` and `get` fit React's useSyncExternalStore, and `get` returns immutable values. */
export interface Readable<T> {
    readonly get: () => T;
    /** Calls `changed` after each change, with the new value. Returns a function that ends the subscription. */
    readonly subscribe: (changed: (value: T) => void) => () => void;
}
/** A readable whose value is computed when it is read, and kept until `invalidate`. Subscribers are called once for
 * the changes of one turn of the event loop. */
export declare class Cell<T> implements Readable<T> {
    private readonly compute;
    /** Called with true before the first subscription, with false after the last one. */
    private readonly watched;
    private readonly subscribers;
    private value;
    private stale;
    constructor(compute: () => T, 
    /** Called with true before the first subscription, with false after the last one. */
    watched?: (on: boolean) => void);
    readonly get: () => T;
    readonly subscribe: (changed: (value: T) => void) => (() => void);
    get isWatched(): boolean;
    invalidate(): void;
    notify(): void;
}
/** Calls a function of the app. Its error does not end the client; it is reported as one that nobody has caught. */
export declare function call<A extends unknown[]>(app: (...a: A) => void, ...values: A): void;
