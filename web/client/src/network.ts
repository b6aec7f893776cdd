// What a platform knows of the network, and of the user who looks at the app or not.
import { monotonic } from "./time.js";

export interface Network {
  isOnline(): boolean;
  isVisible(): boolean;
  /** Calls `changed` when one of the two has changed, or the device has slept. Returns a function that ends it. */
  subscribe(changed: () => void): () => void;
}

/** For programs without a screen: always online and visible. */
export const steadyNetwork: Network = { isOnline: () => true, isVisible: () => true, subscribe: () => () => {} };

const TICK_MS = 10_000;

export function browserNetwork(): Network {
  return {
    isOnline: () => globalThis.navigator?.onLine ?? true,
    isVisible: () => globalThis.document?.visibilityState !== "hidden",
    subscribe(changed) {
      const names = ["online", "offline", "pageshow"] as const;
      for (const name of names) globalThis.addEventListener(name, changed);
      globalThis.document?.addEventListener("visibilitychange", changed);
      // A device that sleeps fires no event in every browser, but its timers are late.
      let expected = monotonic() + TICK_MS;
      const timer = setInterval(() => {
        if (monotonic() > expected + 2 * TICK_MS) changed();
        expected = monotonic() + TICK_MS;
      }, TICK_MS);
      return () => {
        clearInterval(timer);
        for (const name of names) globalThis.removeEventListener(name, changed);
        globalThis.document?.removeEventListener("visibilitychange", changed);
      };
    },
  };
}

export function defaultNetwork(): Network {
  return typeof globalThis.document === "undefined" || typeof globalThis.addEventListener !== "function"
    ? steadyNetwork
    : browserNetwork();
}
