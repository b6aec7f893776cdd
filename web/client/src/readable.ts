/** A value that changes: `subscribe` and `get` fit React's useSyncExternalStore, and `get` returns immutable values. */
export interface Readable<T> {
  readonly get: () => T;
  /** Calls `changed` after each change, with the new value. Returns a function that ends the subscription. */
  readonly subscribe: (changed: (value: T) => void) => () => void;
}

const dirty = new Set<Cell<unknown>>();

function flush(): void {
  const cells = [...dirty];
  dirty.clear();
  for (const cell of cells) cell.notify();
}

/** A readable whose value is computed when it is read, and kept until `invalidate`. Subscribers are called once for
 * the changes of one turn of the event loop. */
export class Cell<T> implements Readable<T> {
  private readonly subscribers = new Set<(value: T) => void>();
  private value: T | undefined;
  private stale = true;

  constructor(
    private readonly compute: () => T,
    /** Called with true before the first subscription, with false after the last one. */
    private readonly watched: (on: boolean) => void = () => {},
  ) {}

  readonly get = (): T => {
    if (this.stale) {
      this.value = this.compute();
      this.stale = false;
    }
    return this.value as T;
  };

  readonly subscribe = (changed: (value: T) => void): (() => void) => {
    const subscriber = (value: T): void => changed(value);
    this.subscribers.add(subscriber);
    if (this.subscribers.size === 1) this.watched(true);
    return () => {
      if (this.subscribers.delete(subscriber) && this.subscribers.size === 0) this.watched(false);
    };
  };

  get isWatched(): boolean {
    return this.subscribers.size > 0;
  }

  invalidate(): void {
    this.stale = true;
    if (this.subscribers.size === 0) return;
    if (dirty.size === 0) queueMicrotask(flush);
    dirty.add(this as Cell<unknown>);
  }

  notify(): void {
    const value = this.get();
    for (const subscriber of [...this.subscribers]) call(subscriber, value);
  }
}

/** Calls a function of the app. Its error does not end the client; it is reported as one that nobody has caught. */
export function call<A extends unknown[]>(app: (...a: A) => void, ...values: A): void {
  try {
    app(...values);
  } catch (error) {
    if (typeof globalThis.reportError === "function") globalThis.reportError(error);
    else console.error(error);
  }
}
