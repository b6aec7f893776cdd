/** Why a signal was aborted. Not every platform has `reason`. */
export declare function reasonOf(signal: AbortSignal): unknown;
/** Waits; `signal` ends the wait early. */
export declare function sleep(ms: number, signal?: AbortSignal): Promise<void>;
/** The promise, until the signal is aborted: then its reason is thrown. Not every platform ends what was aborted. */
export declare function aborting<T>(promise: Promise<T>, signal: AbortSignal): Promise<T>;
/** A controller that is aborted with any of these signals. `release` removes its listeners. */
export declare function joined(...signals: (AbortSignal | null | undefined)[]): AbortController & {
    release(): void;
};
/** From a start of the client to its end. */
export declare class Lifetime {
    private controller;
    get signal(): AbortSignal;
    sleep(ms: number): Promise<void>;
    /** Ends the waits and requests of now; later ones are of the next lifetime. */
    end(reason: Error): void;
}
