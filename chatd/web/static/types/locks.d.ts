export interface Locks {
    /** Holds the lock from the moment in which `held` is called until `release`. Returns `release`. */
    hold(name: string, held: () => void): () => void;
    /** Whether somebody holds it. */
    isHeld(name: string): Promise<boolean>;
}
export declare function defaultLocks(): Locks;
