/** Milliseconds on a clock that only goes forward. */
export declare function monotonic(): number;
/** The clock of the server, as far as it is known. */
export declare class ServerClock {
    private offset;
    private known;
    /** The server's time, in milliseconds since 1970. Before the first connection: that of the device. */
    readonly now: () => number;
    /** How far the clock of the device is ahead of the server, in milliseconds; 0 before the first connection. */
    get deviceAhead(): number;
    /** `serverTime` was the server's time at some moment of the last `tripMs` milliseconds. */
    set(serverTime: number, tripMs?: number): void;
}
/** A sleep that `wake` ends early. */
export declare class Sleep {
    private done;
    for(ms: number): Promise<void>;
    wake(): void;
}
/** The delay before the next attempt: exponential with full jitter. The count of failures is reset only after a
 * connection has lasted for a while. Times in milliseconds; `random` returns numbers from 0 to 1. */
export declare class Backoff {
    private readonly random;
    private readonly firstMs;
    private readonly mostMs;
    private readonly stableMs;
    private failures;
    private since;
    constructor(random?: () => number, firstMs?: number, mostMs?: number, stableMs?: number);
    connected(now: number): void;
    /** `requestedMs`: the delay that the server has requested. */
    next(now: number, requestedMs?: number): number;
}
