// One owner of each outbox: of two tabs, each sends what was written in it, and what closed tabs have left behind is
// taken over by one.

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

/** Web Locks: the browser releases the lock of a tab that has closed or crashed. A page without an origin of its own
 * has none, which shows only when it asks for one. */
function webLocks(manager: LockManager): Locks {
  return {
    hold(name, held) {
      const abort = new AbortController();
      let release = (): void => abort.abort();
      const request = manager.request(name, { signal: abort.signal }, () => {
        const until = new Promise<void>((resolve) => (release = resolve));
        held();
        return until;
      });
      request.catch(() => abort.signal.aborted || held());
      return () => release();
    },
    async held(prefix) {
      const { held } = await manager.query().catch(() => ({ held: [] }) as LockManagerSnapshot);
      return (held ?? []).map(({ name = "" }) => name).filter((name) => name.startsWith(prefix));
    },
    announce(prefix, name, found) {
      // Without a channel, each connection looks for them.
      if (typeof globalThis.BroadcastChannel !== "function") return () => {};
      const channel = new BroadcastChannel(prefix);
      channel.onmessage = ({ data }) => found(String(data));
      channel.postMessage(name);
      return () => channel.close();
    },
    areReal: true,
  };
}

/** Without Web Locks there is no way to know who is alive: every client takes over what it finds, and the server takes
 * each message once, by its client_id. */
const noLocks: Locks = {
  hold(_name, held) {
    let released = false;
    queueMicrotask(() => released || held());
    return () => {
      released = true;
    };
  },
  held: async () => [],
  announce: () => () => {},
  areReal: false,
};

export function defaultLocks(): Locks {
  const manager = globalThis.navigator?.locks;
  return manager ? webLocks(manager) : noLocks;
}
