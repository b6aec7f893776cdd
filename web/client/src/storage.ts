// Where unsent messages are kept. The interface is that of AsyncStorage of React Native.

export interface KeyValueStorage {
  getItem(key: string): Promise<string | null>;
  setItem(key: string, value: string): Promise<void>;
  removeItem(key: string): Promise<void>;
  getAllKeys(): Promise<readonly string[]>;
}

/** Keeps everything until the program ends. */
export function memoryStorage(): KeyValueStorage {
  const items = new Map<string, string>();
  return {
    getItem: async (key) => items.get(key) ?? null,
    setItem: async (key, value) => void items.set(key, value),
    removeItem: async (key) => void items.delete(key),
    getAllKeys: async () => [...items.keys()],
  };
}

const STORE = "items";
/** Some browsers never answer where storage is not allowed. */
const OPEN_TIMEOUT_MS = 5_000;

/** IndexedDB of a browser. */
export function indexedDBStorage(name = "chatd"): KeyValueStorage {
  let database: Promise<IDBDatabase> | undefined;

  function open(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("IndexedDB does not answer")), OPEN_TIMEOUT_MS);
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        request.result.onversionchange = () => request.result.close();
        request.result.onclose = () => (database = undefined);
        resolve(request.result);
      };
      request.addEventListener("success", () => clearTimeout(timer));
      request.addEventListener("error", () => clearTimeout(timer));
    });
  }

  async function run<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    database ??= open();
    database.catch(() => (database = undefined));
    const transaction = (await database).transaction(STORE, mode);
    return new Promise((resolve, reject) => {
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? request.error);
    });
  }

  return {
    getItem: async (key) => ((await run("readonly", (store) => store.get(key))) as string | undefined) ?? null,
    setItem: async (key, value) => void (await run("readwrite", (store) => store.put(value, key))),
    removeItem: async (key) => void (await run("readwrite", (store) => store.delete(key))),
    getAllKeys: async () => (await run("readonly", (store) => store.getAllKeys())).map(String),
  };
}

export function defaultStorage(): KeyValueStorage {
  return typeof globalThis.indexedDB === "undefined" ? memoryStorage() : indexedDBStorage();
}

/** `persistent`: as good as the storage of the platform. `memory`: it failed, because it is full or denied; messages
 * that are not sent yet are lost with the page. */
export type StorageState = "persistent" | "memory";

/** A storage that never fails: what the platform does not keep is kept in memory. */
export class SafeStorage {
  state: StorageState = "persistent";
  error: string | undefined;
  private readonly memory = memoryStorage();

  constructor(
    private readonly platform: KeyValueStorage,
    private readonly changed: () => void,
  ) {}

  async get(key: string): Promise<string | null> {
    return (await this.memory.getItem(key)) ?? (await this.attempt(() => this.platform.getItem(key))) ?? null;
  }

  async set(key: string, value: string): Promise<void> {
    const kept = await this.attempt(async () => {
      await this.platform.setItem(key, value);
      return true;
    });
    await (kept ? this.memory.removeItem(key) : this.memory.setItem(key, value));
    if (kept) this.become((await this.memory.getAllKeys()).length ? "memory" : "persistent");
  }

  async remove(key: string): Promise<void> {
    await this.memory.removeItem(key);
    await this.attempt(() => this.platform.removeItem(key));
  }

  /** The keys that begin with this text, in their order. */
  async keys(prefix: string): Promise<string[]> {
    const all = [...((await this.attempt(() => this.platform.getAllKeys())) ?? []), ...(await this.memory.getAllKeys())];
    return [...new Set(all)].filter((key) => key.startsWith(prefix)).sort();
  }

  private async attempt<T>(act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (error) {
      this.become("memory", String((error as Error | null)?.message ?? error));
      return undefined;
    }
  }

  private become(state: StorageState, error?: string): void {
    this.error = state === "memory" ? (error ?? this.error) : undefined;
    if (this.state === state) return;
    this.state = state;
    this.changed();
  }
}
