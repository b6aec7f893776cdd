// What ends together: waits and requests of a client that is stopped, or of a signal of the app.
import { Disconnected } from "./errors.js";

/** Why a signal was aborted. Not every platform has `reason`. */
export function reasonOf(signal: AbortSignal): unknown {
  return signal.reason ?? new Disconnected("the request was aborted");
}

/** Waits; `signal` ends the wait early. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}

/** The promise, until the signal is aborted: then its reason is thrown. Not every platform ends what was aborted. */
export function aborting<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(reasonOf(signal));
    const done = (): void => signal.removeEventListener("abort", abort);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort);
    promise.then(resolve, reject).then(done);
  });
}

/** A controller that is aborted with any of these signals. `release` removes its listeners. */
export function joined(...signals: (AbortSignal | null | undefined)[]): AbortController & { release(): void } {
  const controller = new AbortController() as AbortController & { release(): void };
  const removals: (() => void)[] = [];
  controller.release = () => removals.splice(0).forEach((remove) => remove());
  for (const signal of signals) {
    if (!signal) continue;
    const abort = (): void => controller.abort(reasonOf(signal));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    removals.push(() => signal.removeEventListener("abort", abort));
  }
  return controller;
}

/** From a start of the client to its end. */
export class Lifetime {
  private controller = new AbortController();

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  sleep(ms: number): Promise<void> {
    return sleep(ms, this.signal);
  }

  /** Ends the waits and requests of now; later ones are of the next lifetime. */
  end(reason: Error): void {
    const { controller } = this;
    this.controller = new AbortController();
    controller.abort(reason);
  }
}
