// Accounts of chatd itself: sign-up over HTTP, and tokens that are renewed and stored.
import { Ended } from "./errors.js";
import { uuid } from "./ids.js";
import { bodyOf, exchange, type Fetch } from "./rest.js";
import { defaultStorage, type KeyValueStorage } from "./storage.js";
import type { TokenProvider } from "./tokens.js";
import type { SignUp, Tokens as TokenPair } from "./wire.js";

export interface GuestOptions extends Omit<SignUp, "t" | "device"> {
  /** The HTTP address of the server; on a page of the server itself, it may be left out. */
  url?: string;
  storage?: KeyValueStorage;
  /** Several accounts in one storage have different names. */
  key?: string;
  fetch?: Fetch;
}

/** The account of a guest, who is the same user again on this device. `token` is the token provider of a client. */
export interface Guest {
  token: TokenProvider;
  /** Signs up, unless that has happened before. Returns the user id. Throws Refused, Disconnected. */
  signUp(name?: string): Promise<string>;
  /** Whether somebody has signed up here and not out again. */
  isSignedUp(): Promise<boolean>;
  /** Forgets the account on this device. Call `client.logout()` before. */
  forget(): Promise<void>;
}

interface Stored {
  device: string;
  tokens?: TokenPair;
}

export function guest(options: GuestOptions = {}): Guest {
  const { url = pageOrigin(), storage = defaultStorage(), key = "chatd/guest", fetch = defaultFetch(), ...fields } = options;
  let stored: Promise<Stored> | undefined;

  const load = (): Promise<Stored> => (stored ??= read());

  async function read(): Promise<Stored> {
    const text = await storage.getItem(key).catch(() => null);
    return text === null ? { device: `${uuid()}${uuid()}` } : (JSON.parse(text) as Stored);
  }

  async function keep(state: Stored): Promise<void> {
    stored = Promise.resolve(state);
    await storage.setItem(key, JSON.stringify(state)).catch(() => {});
  }

  async function post(path: string, body: unknown): Promise<TokenPair> {
    const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    return (await exchange(fetch, url + path, init, bodyOf)) as unknown as TokenPair;
  }

  async function signUp(name?: string): Promise<string> {
    const state = await load();
    if (state.tokens) return state.tokens.user;
    const request = { ...fields, ...(name === undefined ? {} : { name }), device: state.device };
    // The secret of the device first: a sign-up whose answer is lost is then repeated as the same user.
    await keep(state);
    const tokens = await post("/v1/auth/anonymous", request);
    await keep({ ...state, tokens });
    return tokens.user;
  }

  async function rotate(stale: string): Promise<string> {
    // Another tab may have renewed it.
    const latest = await read();
    if (latest.tokens && latest.tokens.access_token !== stale) {
      stored = Promise.resolve(latest);
      return latest.tokens.access_token;
    }
    const state = await load();
    if (!state.tokens) throw new Ended("unauthenticated", "nobody has signed up on this device");
    const tokens = await post("/v1/auth/refresh", { refresh_token: state.tokens.refresh_token });
    await keep({ ...state, tokens });
    return tokens.access_token;
  }

  async function token(stale?: string): Promise<string> {
    const state = await load();
    if (!state.tokens) throw new Ended("unauthenticated", "call signUp() first");
    return stale === undefined ? state.tokens.access_token : exclusively(key, () => rotate(stale));
  }

  return {
    token,
    signUp,
    isSignedUp: async () => (await load()).tokens !== undefined,
    forget: async () => {
      stored = undefined;
      await storage.removeItem(key);
    },
  };
}

/** One tab at a time: a refresh token works once. */
async function exclusively<T>(key: string, act: () => Promise<T>): Promise<T> {
  const manager = globalThis.navigator?.locks;
  return manager ? ((await manager.request(`${key}/refresh`, act)) as T) : act();
}

export function pageOrigin(): string {
  const origin = globalThis.location?.origin;
  if (!origin || origin === "null") throw new TypeError("name the address of the server: url");
  return origin;
}

export function defaultFetch(): Fetch {
  return (input, init) => globalThis.fetch(input, init);
}

