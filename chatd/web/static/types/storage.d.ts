export interface KeyValueStorage {
    getItem(key: string): Promise<string | null>;
    setItem(key: string, value: string): Promise<void>;
    removeItem(key: string): Promise<void>;
    getAllKeys(): Promise<readonly string[]>;
}
/** Keeps everything until the program ends. */
export declare function memoryStorage(): KeyValueStorage;
/** IndexedDB of a browser. */
export declare function indexedDBStorage(name?: string): KeyValueStorage;
export declare function defaultStorage(): KeyValueStorage;
/** `persistent`: as good as the storage of the platform. `memory`: it failed, because it is full or denied; messages
 * that are not sent yet are lost with the page. */
export type StorageState = "persistent" | "memory";
/** A storage that never fails: what the platform does not keep is kept in memory. */
export declare class SafeStorage {
    private readonly platform;
    private readonly changed;
    state: StorageState;
    error: string | undefined;
    private readonly memory;
    constructor(platform: KeyValueStorage, changed: () => void);
    get(key: string): Promise<string | null>;
    set(key: string, value: string): Promise<void>;
    remove(key: string): Promise<void>;
    /** The keys that begin with this text, in their order. */
    keys(prefix: string): Promise<string[]>;
    private attempt;
    private become;
}
