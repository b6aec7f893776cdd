// Strangers: search for a partner, skip, keep, end, report.
import { Disconnected, Refused } from "./errors.js";
import { Cell, type Readable } from "./readable.js";
import type { Body, CommandName, FieldsOf, MatchFound, MatchProposed, Result } from "./wire.js";

export type MatchPhase = "idle" | "searching" | "proposed" | "matched";

export interface MatchState {
  phase: MatchPhase;
  ticket: string | null;
  /** Users who wait in the queue, as far as it is known. */
  waiting: number | null;
  /** What was found; also after its end, until the next search. */
  match: MatchFound | null;
  proposal: MatchProposed | null;
  /** You have voted to keep in touch. */
  kept: boolean;
  /** Why the last search or match has ended, such as `left`, `skipped`, `disconnected`, `kept` or `expired`. */
  reason: string | null;
}

const IDLE: MatchState = {
  phase: "idle",
  ticket: null,
  waiting: null,
  match: null,
  proposal: null,
  kept: false,
  reason: null,
};

type Call = <Name extends CommandName>(name: Name, fields: FieldsOf<Name>) => Promise<Result<Name>>;

export class Match implements Readable<MatchState> {
  private current = IDLE;
  private readonly cell = new Cell<MatchState>(() => this.current);
  readonly get = this.cell.get;
  readonly subscribe = this.cell.subscribe;

  constructor(private readonly call: Call) {}

  /** Searches for a partner. A new search replaces the one before. */
  async find(criteria: FieldsOf<"match.find"> = {}): Promise<void> {
    this.become({ ...IDLE, phase: "searching" });
    try {
      const queued = await this.call("match.find", criteria);
      // The partner may have been found before the answer.
      if (this.current.phase === "searching") this.become({ ...this.current, ticket: queued.ticket, waiting: queued.waiting });
    } catch (error) {
      if (this.current.phase === "searching") this.become({ ...IDLE, reason: "failed" });
      throw error;
    }
  }

  /** Ends the search. */
  async cancel(): Promise<void> {
    await this.ignoringEnd(this.call("match.cancel", {}));
    if (this.current.phase !== "matched") this.become({ ...IDLE, reason: "cancelled" });
  }

  /** Accepts a proposal, in queues that require it. */
  async confirm(): Promise<void> {
    const { proposal } = this.current;
    if (proposal) await this.call("match.confirm", { match: proposal.match });
  }

  /** Ends the match, and searches for the next one with the same criteria. */
  async skip(): Promise<void> {
    const before = this.current;
    await this.call("match.skip", {});
    if (this.current === before) this.become({ ...IDLE, phase: "searching" });
  }

  /** Ends the match. */
  async end(): Promise<void> {
    await this.ignoringEnd(this.call("match.leave", {}));
    if (this.current.phase === "matched") this.become({ ...this.current, phase: "idle", reason: "left" });
  }

  /** Votes to keep in touch. With the votes of all, the conversation stays. */
  async keep(): Promise<void> {
    await this.call("match.keep", {});
    if (this.current.phase === "matched") this.become({ ...this.current, kept: true });
  }

  /** Reports the partner, also for a day after the end. */
  async report(reason: string, text?: string): Promise<void> {
    const { match } = this.current;
    if (!match) throw new Refused("not_found", "there is no match to report");
    const fields = { reason, user: match.partner.id, conversation: match.conversation };
    await this.call("report.create", text === undefined ? fields : { ...fields, text });
  }

  /** Blocks the partner, which ends the match. */
  async block(): Promise<void> {
    const { match } = this.current;
    if (!match) throw new Refused("not_found", "there is no partner to block");
    await this.call("user.block", { user: match.partner.id });
  }

  private async ignoringEnd(command: Promise<unknown>): Promise<void> {
    try {
      await command;
    } catch (error) {
      if (!(error instanceof Refused && error.code === "not_found")) throw error;
    }
  }

  take(event: Body): void {
    const { match } = this.current;
    switch (event.t) {
      case "match.proposed":
        return this.become({ ...this.current, phase: "proposed", proposal: event as unknown as MatchProposed });
      case "match.requeued":
        return this.become({ ...this.current, phase: "searching", proposal: null, ticket: event.ticket });
      case "match.found":
        return this.become({ ...IDLE, phase: "matched", match: event as unknown as MatchFound });
      case "match.expired":
        return this.become({ ...IDLE, reason: event.reason });
      case "match.ended":
      case "match.kept":
        if (match?.match !== event.match) return;
        return this.become({ ...this.current, phase: "idle", reason: event.t === "match.kept" ? "kept" : event.reason });
      case "conversation.gone":
        // It ended while the client was away.
        if (this.current.phase === "matched" && match?.conversation === event.conversation)
          this.become({ ...this.current, phase: "idle", reason: "left" });
    }
  }

  /** After an absence: whether the search goes on. */
  async connected(): Promise<void> {
    const before = this.current;
    if (before.phase !== "searching" && before.phase !== "proposed") return;
    try {
      const queued = await this.call("match.status", {});
      if (this.current === before) this.become({ ...before, ticket: queued.ticket, waiting: queued.waiting });
    } catch (error) {
      const isOver = error instanceof Refused && error.code === "not_found";
      if (isOver && this.current === before) this.become({ ...IDLE, reason: "disconnected" });
      else if (!(error instanceof Refused || error instanceof Disconnected)) throw error;
    }
  }

  private become(state: MatchState): void {
    this.current = state;
    this.cell.invalidate();
  }
}
