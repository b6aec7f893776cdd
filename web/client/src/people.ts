// Presence and profiles of users, for those that the app looks at.
import { Refused } from "./errors.js";
import type { Ask } from "./store.js";
import { Cell, type Readable } from "./readable.js";
import type { PresenceState, User } from "./wire.js";

/** The server lets a session watch this many users. */
const MAX_WATCHED = 100;
const SOON_MS = 20;
const MAX_QUERY = 100;
/** Profiles that are kept, besides those that the app looks at. */
const MAX_KNOWN = 1000;

export class Presence {
  private readonly cells = new Map<string, Cell<PresenceState>>();
  private readonly states = new Map<string, PresenceState>();
  /** In the order in which the app began to look at them. */
  private readonly watched = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly ask: Ask,
    private readonly isConnected: () => boolean,
  ) {}

  /** The presence of a user, by user id or by the alias in a running match. It is kept up to date while it has subscribers. */
  of(user: string): Readable<PresenceState> {
    let cell = this.cells.get(user);
    if (!cell) this.cells.set(user, (cell = this.make(user)));
    return cell;
  }

  private make(user: string): Cell<PresenceState> {
    const unknown: PresenceState = { user, status: "offline", last_seen: null };
    const cell: Cell<PresenceState> = new Cell<PresenceState>(
      () => this.states.get(user) ?? unknown,
      (on) => this.watch(user, cell, on),
    );
    return cell;
  }

  private watch(user: string, cell: Cell<PresenceState>, on: boolean): void {
    if (on) {
      // React subscribes once more to a value that it had given up.
      this.cells.set(user, cell);
      this.watched.add(user);
    } else {
      this.watched.delete(user);
      this.cells.delete(user);
      this.states.delete(user);
    }
    this.soon();
  }

  take(state: PresenceState): void {
    const old = this.states.get(state.user);
    if (old?.status === state.status && old.last_seen === state.last_seen) return;
    const { user, status, last_seen } = state;
    this.states.set(user, { user, status, last_seen });
    this.cells.get(user)?.invalidate();
  }

  /** A connection has opened: subscriptions begin anew. */
  connected(): void {
    if (this.watched.size) this.soon();
  }

  private soon(): void {
    clearTimeout(this.timer);
    if (this.isConnected()) this.timer = setTimeout(() => void this.subscribe(), SOON_MS);
  }

  private async subscribe(): Promise<void> {
    const users = [...this.watched].slice(-MAX_WATCHED);
    try {
      for (const state of (await this.ask("presence.watch", { users })).items) this.take(state);
    } catch {
      // The next connection, or the next look, asks again.
    }
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}

export class Users {
  private readonly cells = new Map<string, Cell<User | null>>();
  private readonly known = new Map<string, User>();
  private readonly wanted = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isLoading = false;

  constructor(
    private readonly ask: Ask,
    private readonly isConnected: () => boolean,
  ) {}

  /** The profile of a user; null until it is loaded, or if there is no such user. */
  of(user: string): Readable<User | null> {
    let cell = this.cells.get(user);
    if (cell) return cell;
    cell = new Cell<User | null>(
      () => this.known.get(user) ?? null,
      (on) => {
        // The app may look again at a value that was given up here.
        if (on) this.cells.set(user, cell!);
        if (on && !this.known.has(user)) this.want(user);
      },
    );
    this.cells.set(user, cell);
    if (this.cells.size > MAX_KNOWN) this.drop();
    return cell;
  }

  /** Gives up the oldest profile at which the app does not look. */
  private drop(): void {
    for (const [id, cell] of this.cells) {
      if (cell.isWatched) continue;
      this.cells.delete(id);
      this.known.delete(id);
      return;
    }
  }

  /** Keeps the profile if the app has asked for it: the server reports those of all contacts and members. */
  take(user: User): void {
    const cell = this.cells.get(user.id);
    const old = this.known.get(user.id);
    if (!cell || (old && old.profile_version > user.profile_version)) return;
    this.known.set(user.id, { ...old, ...user });
    cell.invalidate();
  }

  /** Events may be missing: loads the profiles that the app looks at once more. */
  behind(): void {
    for (const [id, cell] of this.cells) {
      if (cell.isWatched) this.want(id);
      else this.known.delete(id);
    }
  }

  /** A connection has opened. */
  connected(): void {
    this.soon();
  }

  private want(id: string): void {
    this.wanted.add(id);
    this.soon();
  }

  private soon(): void {
    if (this.wanted.size && !this.isLoading && this.isConnected())
      this.timer ??= setTimeout(() => void this.load(), SOON_MS);
  }

  /** One query after the other, of as many users as the server allows. */
  private async load(): Promise<void> {
    this.timer = undefined;
    this.isLoading = true;
    const users = [...this.wanted].filter((id) => this.cells.get(id)?.isWatched).slice(0, MAX_QUERY);
    try {
      if (!users.length) this.wanted.clear();
      else for (const user of (await this.ask("user.query", { users })).items) this.take(user);
      for (const id of users) this.wanted.delete(id);
    } catch (error) {
      // Without a connection, the next one asks again; after a refusal, a later look.
      if (error instanceof Refused) for (const id of users) this.wanted.delete(id);
    } finally {
      this.isLoading = false;
      this.soon();
    }
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
