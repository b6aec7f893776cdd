import { Ended, Refused } from "./errors.js";

/** Returns an access token. `stale` is a token that has expired or was refused: return another one. Throw Refused or
 * Ended if there will be none; any other error is retried. */
export type TokenProvider = (stale?: string) => string | Promise<string>;

/** The access token of the client. Concurrent callers get the same one. */
export class Tokens {
  private current: string | undefined;
  private asking: Promise<string> | undefined;
  /** The token that was fetched because the server had refused the one before. */
  private fresh: string | undefined;
  /** A token of a login that has ended. */
  private ended: string | undefined;

  constructor(private readonly provider: TokenProvider) {}

  get(): Promise<string> {
    return this.current === undefined ? this.ask(this.ended) : Promise.resolve(this.current);
  }

  /** A token other than `stale`. */
  renew(stale: string): Promise<string> {
    return this.current !== undefined && this.current !== stale ? Promise.resolve(this.current) : this.ask(stale);
  }

  /** Fetches another token after the server has refused this one. Throws Ended if it was fetched just before. */
  async replace(refused: string, reason: Refused): Promise<void> {
    if (refused === this.fresh) throw new Ended("unauthenticated", reason.message);
    const token = await this.renew(refused);
    if (token === refused) throw new Ended("unauthenticated", reason.message);
    this.fresh = token;
  }

  /** The server has accepted the token. */
  accepted(): void {
    this.fresh = undefined;
  }

  /** The login has ended: the tokens given so far are stale, also one that is on its way. */
  forget(): void {
    this.ended = this.current ?? this.ended;
    this.current = this.fresh = this.asking = undefined;
  }

  private ask(stale?: string): Promise<string> {
    if (this.asking) return this.asking;
    const asking = this.fetch(stale).then((token) => {
      if (this.asking === asking) this.current = token;
      return token;
    });
    this.asking = asking;
    const done = (): void => {
      if (this.asking === asking) this.asking = undefined;
    };
    asking.then(done, done);
    return asking;
  }

  private async fetch(stale?: string): Promise<string> {
    try {
      return await this.provider(stale);
    } catch (error) {
      if (error instanceof Refused && !error.retryable) throw new Ended("unauthenticated", error.message);
      throw error;
    }
  }
}

/** The claims of a token, unverified: they only name the place where data of this user is stored. */
export function claimsOf(token: string): Record<string, unknown> {
  try {
    const part = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = atob(part).replace(/[^]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
    return JSON.parse(decodeURIComponent(bytes)) as Record<string, unknown>;
  } catch {
    return {};
  }
}
