export interface Network {
    isOnline(): boolean;
    isVisible(): boolean;
    /** Calls `changed` when one of the two has changed, or the device has slept. Returns a function that ends it. */
    subscribe(changed: () => void): () => void;
}
/** For programs without a screen: always online and visible. */
export declare const steadyNetwork: Network;
export declare function browserNetwork(): Network;
export declare function defaultNetwork(): Network;
