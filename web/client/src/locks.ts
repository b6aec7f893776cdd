// One owner of each outbox: of two tabs, each sends what was written in it, and what closed tabs have left behind is
// taken over by one.

export interface Locks {
  /** Holds the lock from the moment in which `held` is called until `release`. Returns `release`. */
  hold(name: string, held: () => void): () => void;
  /** Whether somebody holds it. */
  isHeld(name: string): Promise<boolean>;
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
    async isHeld(name) {
      const { held } = await manager.query().catch(() => ({ held: [] }) as LockManagerSnapshot);
      return held?.some((lock) => lock.name === name) ?? false;
    },
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
  isHeld: async () => false,
};

export function defaultLocks(): Locks {
  const manager = globalThis.navigator?.locks;
  return manager ? webLocks(manager) : noLocks;
}
