// Fetches what the client has missed: all states after a connection has opened and when the server requests it, then
// each gap when it is found. One loop per connection does this, one conversation at a time.
import { Disconnected, Refused } from "./errors.js";
import type { Lifetime } from "./lifetime.js";
import type { Link } from "./link.js";
import type { Timeline } from "./timeline.js";
import type { Body } from "./wire.js";

const RETRY_AFTER_S = 1;
/** Messages of history that are asked for at once. */
const PAGE = 100;

export class CatchUp {
  private found: () => void = () => {};

  constructor(
    private readonly timeline: Timeline,
    private readonly emit: (events: Body[]) => void,
    /** All states of a session.sync, before its events. */
    private readonly takeStates: (state: Body) => void,
    private readonly life: Lifetime,
    /** Compares what was stored with the states. Returns events. */
    private readonly compare: (states: Body[]) => Body[],
  ) {}

  /** Call it after everything that may have shown a gap. */
  check(): void {
    if (this.timeline.behind.size || this.timeline.ownBehind) this.found();
  }

  /** Fetches the states that have changed since the last sync. Throws Disconnected, Refused. */
  async states(link: Link): Promise<void> {
    const { timeline } = this;
    timeline.ownBehind = false;
    const all: Body = { t: "session.state", conversations: [], gone: [], marks: [], threads: [], own: false, reset: false };
    let cursor = timeline.cursor;
    let more = true;
    while (more) {
      const page = await link.call(cursor === null ? { t: "session.sync" } : { t: "session.sync", cursor });
      for (const list of ["conversations", "gone", "marks", "threads"]) all[list].push(...(page[list] ?? []));
      all.own ||= page.own;
      all.reset ||= page.reset;
      cursor = page.cursor as string;
      more = page.more;
    }
    this.emit(this.compare(all.conversations));
    timeline.removeGone(all.gone);
    timeline.takeStates(all.conversations, all.reset);
    this.takeStates(all);
    this.emit(timeline.statesEnd(cursor as string, all));
  }

  /** Syncs all conversations that have a gap, now and whenever a new gap is found. Throws Disconnected. */
  async closeGaps(link: Link): Promise<never> {
    const { timeline } = this;
    // One reaction for each connection: a race for each gap would keep them all until its end.
    void link.closing.then(() => this.found());
    for (;;) {
      const next = new Promise<void>((resolve) => (this.found = resolve));
      if (!link.isOpen) throw new Disconnected();
      if (timeline.ownBehind) await this.statesAgain(link);
      for (const id of [...timeline.behind]) await this.closeGap(link, id);
      if (!timeline.behind.size && !timeline.ownBehind) await next;
    }
  }

  private async statesAgain(link: Link): Promise<void> {
    try {
      await this.states(link);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.timeline.ownBehind = true;
      await this.life.sleep((error.retryAfter ?? RETRY_AFTER_S) * 1000);
    }
  }

  /** Syncs one conversation. A refusal does not delay the others; `not_found`: the user is no longer a member. */
  private async closeGap(link: Link, id: string): Promise<void> {
    const { timeline } = this;
    try {
      while (timeline.behind.has(id)) {
        const place = timeline.places.get(id);
        if (!place) return;
        const changes = await link.call({ t: "conversation.sync", conversation: id, rev: place.rev });
        if (changes.reset) {
          const state = await link.call({ t: "conversation.get", conversation: id });
          this.emit(timeline.reset(state.conversation));
          continue;
        }
        const known = await this.fillHole(link, id, changes);
        this.emit(timeline.takeChanges(id, changes, known));
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.code === "not_found" || error.code === "forbidden") this.emit(timeline.forget(id));
      else await this.life.sleep((error.retryAfter ?? RETRY_AFTER_S) * 1000);
    }
  }

  /** Emits the new messages of a page, together with later changes. Returns what was emitted: rev by seq. */
  private async fillHole(link: Link, id: string, changes: Body): Promise<Map<number, number>> {
    const known = new Map<number, number>();
    for (let more = true; more; ) {
      const hole = this.timeline.hole(id, changes);
      if (!hole) break;
      const [after, until] = hole;
      const limit = Math.min(until - after, PAGE);
      const page = await link.call({ t: "message.history", conversation: id, after, limit });
      this.emit(this.timeline.takeHistory(id, page.items));
      for (const message of page.items) known.set(message.seq, message.rev);
      more = page.more;
    }
    return known;
  }
}
