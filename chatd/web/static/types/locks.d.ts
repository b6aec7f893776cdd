export interface Locks {
    /** Holds the lock from the moment in which `held` is called until `release`. Returns `release`. */
    hold(name: string, held: () => void): () => void;
    /** The locks with this prefix that are held now. */
    held(prefix: string): Promise<string[]>;
    /** Tells other tabs of a lock that is held here, and calls `found` for those that others hold later. Returns a
     * function that ends it. */
    announce(prefix: string, name: string, found: (name: string) => void): () => void;
    /** The platform knows which owners live. */
    readonly areReal: boolean;
}
export declare function defaultLocks(): Locks;
