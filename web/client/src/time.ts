// Times: durations come from a monotonic clock, and times of day from the server, because the clock of a device may be
// wrong, or be set while the client runs.

/** Milliseconds on a clock that only goes forward. */
export function monotonic(): number {
  return globalThis.performance?.now() ?? Date.now();
}

/** The clock of the server, as far as it is known. */
export class ServerClock {
  private offset = Date.now() - monotonic();
  private known = false;

  /** The server's time, in milliseconds since 1970. Before the first connection: that of the device. */
  readonly now = (): number => Math.round(this.offset + monotonic());

  /** How far the clock of the device is ahead of the server, in milliseconds; 0 before the first connection. */
  get deviceAhead(): number {
    return this.known ? Math.round(Date.now() - this.now()) : 0;
  }

  /** `serverTime` was the server's time at some moment of the last `tripMs` milliseconds. */
  set(serverTime: number, tripMs = 0): void {
    this.offset = serverTime + tripMs / 2 - monotonic();
    this.known = true;
  }
}

/** A sleep that `wake` ends early. */
export class Sleep {
  private done: (() => void) | undefined;

  for(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.wake(), Math.max(0, ms));
      this.done = () => {
        clearTimeout(timer);
        this.done = undefined;
        resolve();
      };
    });
  }

  wake(): void {
    this.done?.();
  }
}

/** The delay before the next attempt: exponential with full jitter. The count of failures is reset only after a
 * connection has lasted for a while. Times in milliseconds; `random` returns numbers from 0 to 1. */
export class Backoff {
  private failures = 0;
  private since: number | undefined;

  constructor(
    private readonly random: () => number = Math.random,
    private readonly firstMs = 500,
    private readonly mostMs = 30_000,
    private readonly stableMs = 30_000,
  ) {}

  connected(now: number): void {
    this.since = now;
  }

  /** `requestedMs`: the delay that the server has requested. */
  next(now: number, requestedMs?: number): number {
    if (this.since !== undefined && now - this.since >= this.stableMs) this.failures = 0;
    this.since = undefined;
    const ceiling = Math.min(this.mostMs, this.firstMs * 2 ** Math.min(this.failures, 16));
    this.failures += 1;
    return requestedMs === undefined ? this.random() * ceiling : requestedMs + this.random() * this.firstMs;
  }
}
