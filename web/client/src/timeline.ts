// The position of this client in each conversation, and the events to emit. Pure: no I/O, no clock. The counterpart of
// chatd/client/timeline.py, which explains it; a test compares the events of the two.
import {
  conversationOf,
  inOrder,
  isDurable,
  missedInfo,
  missedMembers,
  missedMessages,
  resetEvent,
  sessionChanged,
} from "./states.js";
import type { Body } from "./wire.js";

/** Events that wait for the sync of their conversation; what is more than that is synced once more. */
const MOST_HELD = 256;

/** The position in one conversation. Everything up to `rev` was emitted; `seq` is the last message, `top` the latest
 * known rev. `info`: the conversation's own fields as emitted by the current sync. */
interface Place {
  seq: number;
  rev: number;
  top: number;
  held: Body[];
  info: string | undefined;
}

const placeAt = (seq = 0, rev = 0): Place => ({ seq, rev, top: 0, held: [], info: undefined });

export interface Position {
  cursor: string | null;
  conversations: Record<string, [seq: number, rev: number, behind: boolean]>;
  aliases?: Record<string, string>;
}

export class Timeline {
  readonly places = new Map<string, Place>();
  /** The conversations that need a sync. */
  readonly behind = new Set<string>();
  cursor: string | null = null;
  user = "";
  /** Something of the user's own may have changed. */
  ownBehind = false;
  private fresh = true;
  private waiting: Body[] | undefined = [];
  private removals: Body[] = [];
  private readonly aliases = new Map<string, string>();
  /** The aliases in matches that were kept, which older states and messages still have. */
  private readonly formerAliases = new Map<string, string>();
  private profilesBehind = false;

  constructor(position?: Position) {
    if (!position) return;
    for (const [id, [seq, rev, behind]] of Object.entries(position.conversations)) {
      this.places.set(id, placeAt(seq, rev));
      if (behind) this.behind.add(id);
    }
    for (const [id, alias] of Object.entries(position.aliases ?? {})) this.aliases.set(id, alias);
    this.cursor = position.cursor;
    this.fresh = this.cursor === null;
  }

  /** The state with which a later client misses nothing. */
  get position(): Position {
    const conversations: Position["conversations"] = {};
    for (const [id, place] of this.places) conversations[id] = [place.seq, place.rev, this.behind.has(id)];
    return { cursor: this.cursor, conversations, aliases: Object.fromEntries(this.aliases) };
  }

  /** The id of this user in a conversation: the alias in a match. */
  knownAs(conversation: string): string {
    return this.aliases.get(conversation) ?? this.user;
  }

  /** Whether an id in a conversation is one of this user, before or after the match was kept. */
  isOwn(conversation: string, id: string): boolean {
    return id === this.user || id === this.aliases.get(conversation) || id === this.formerAliases.get(conversation);
  }

  /** Notes the alias of a match, unless it was kept since: a state may be older than `match.kept`. */
  private noteAlias(id: string, alias: string | undefined): void {
    if (alias && !this.formerAliases.has(id)) this.aliases.set(id, alias);
  }

  /** Notes that a match was kept. Returns whether that is new. */
  private endAlias(id: string): boolean {
    const alias = this.aliases.get(id);
    if (alias === undefined) return false;
    this.aliases.delete(id);
    this.formerAliases.set(id, alias);
    return true;
  }

  // --- a connection begins -------------------------------------------------------------------------------------------

  /** Begins at a stored place in a conversation. Returns false if a place is known. */
  restore(id: string, [seq, rev]: [seq: number, rev: number], alias?: string): boolean {
    if (this.places.has(id) || !this.fresh) return false;
    this.places.set(id, placeAt(seq, rev));
    this.noteAlias(id, alias);
    return true;
  }

  /** Holds all events until it is known which conversations have changed. */
  connected(): void {
    this.waiting = [];
    for (const place of this.places.values()) place.held = [];
  }

  /** Takes positions from session.sync. On the first sync they are adopted; later a higher rev means a gap.
   * `reset`: these are all conversations; the known state of each is discarded, whatever its rev. */
  takeStates(states: Body[], reset = false): void {
    if (reset) {
      const present = new Set(states.map((state) => state.id));
      for (const id of [...this.places.keys()]) if (!present.has(id)) this.removals.push(...this.forget(id));
    }
    for (const state of states) {
      this.noteAlias(state.id, state.alias);
      const place = this.places.get(state.id);
      if (!state.alias && this.endAlias(state.id) && place && !reset)
        this.removals.push(resetEvent(state.id, place.seq));
      if (place && reset) this.removals.push(...this.reset(state));
      else if (!place && this.fresh) this.places.set(state.id, placeAt(state.seq, state.rev));
      else if (!place) this.begin(state);
      else if (state.rev > place.rev) this.fallBehind(state.id, state.rev);
      else if (state.rev < place.rev && this.waiting) this.removals.push(...this.reset(state));
    }
  }

  /** Adopts the state of a server that was restored from a backup. */
  reset(state: Body): Body[] {
    this.places.set(state.id, placeAt(state.seq, state.rev));
    this.behind.delete(state.id);
    return [resetEvent(state.id, state.seq)];
  }

  /** Removes conversations that the user has left. The list may be older than live events, so each conversation is
   * queried from the server. */
  removeGone(ids: string[]): void {
    for (const id of ids) {
      if (this.waiting) this.removals.push(...this.forget(id));
      else if (this.places.has(id)) this.fallBehind(id, 0);
    }
  }

  /** All states have arrived in `state`. Returns the events to emit for them, and those that waited for it. */
  statesEnd(cursor: string, state?: Body): Body[] {
    const changed = state && !this.fresh ? sessionChanged(this.cursor, state) : [];
    this.fresh = false;
    this.cursor = cursor;
    const waiting = this.waiting ?? [];
    this.waiting = undefined;
    const lost = this.removals;
    this.removals = [];
    if (this.profilesBehind) {
      this.profilesBehind = false;
      changed.push({ t: "profiles.behind" });
    }
    return [...lost, ...changed, ...waiting.flatMap((event) => this.take(event))];
  }

  private place(id: string): Place {
    let place = this.places.get(id);
    if (!place) this.places.set(id, (place = placeAt()));
    return place;
  }

  /** Notes that something up to `rev` was not emitted. */
  private fallBehind(id: string, rev: number): Place {
    const place = this.place(id);
    place.top = Math.max(place.top, rev);
    this.behind.add(id);
    return place;
  }

  // --- events --------------------------------------------------------------------------------------------------------

  /** A live event. Returns the events to emit: this one, or none if it is known or has to wait for a sync. */
  take(event: Body): Body[] {
    if (event.t === "session.behind") {
      this.ownBehind = this.profilesBehind = true;
      return [];
    }
    if (this.waiting && event.conversation !== undefined) {
      this.waiting.push(event);
      return [];
    }
    if (event.t === "conversation.gone") return this.forget(event.conversation, event.reason ?? "unknown");
    if (event.t === "match.found") this.noteAlias(event.conversation, event.alias);
    if (event.t === "match.kept") this.endAlias(event.conversation);
    // session.sync has the new state of the conversation.
    if (event.t === "match.ended" || event.t === "match.kept") this.ownBehind = true;
    if (event.t === "conversation.update" && !isDurable(event)) this.noteConversation(event.conversation);
    if (event.t === "member.left" && this.isOwn(event.conversation, event.departure.user)) return this.leave(event);
    if (isDurable(event) && !this.places.has(conversationOf(event))) {
      // Only session.sync knows where it begins for this user.
      this.ownBehind = true;
      return [];
    }
    if (event.t === "behind") {
      this.fallBehind(event.conversation, event.rev);
      return [];
    }
    return isDurable(event) ? this.takeDurable(event) : [event];
  }

  /** A conversation that may be new. One without messages has nothing to catch up with. */
  noteConversation(conversation: Body): void {
    this.noteAlias(conversation.id, conversation.alias);
    if (this.places.has(conversation.id)) return;
    if (conversation.seq === 0) this.places.set(conversation.id, placeAt(0, conversation.rev));
    else this.begin(conversation);
  }

  /** Syncs a new conversation from the beginning of the user's membership. */
  private begin(conversation: Body): void {
    this.places.set(conversation.id, placeAt(conversation.joined_seq ?? 0, conversation.joined_rev ?? 0));
    this.fallBehind(conversation.id, conversation.rev);
  }

  /** Ends the membership, with its last event. Events that were missed before it are no longer accessible. */
  private leave(event: Body): Body[] {
    const place = this.places.get(event.conversation);
    if (!place || event.rev <= place.rev) return [];
    const reason = event.departure.actor === event.departure.user ? "left" : "removed";
    return [event, ...this.forget(event.conversation, reason)];
  }

  private takeDurable(event: Body): Body[] {
    const id = conversationOf(event);
    const place = this.place(id);
    if (event.rev <= place.rev) return [];
    if (this.behind.has(id) || event.rev > place.rev + 1) {
      this.fallBehind(id, event.rev);
      if (place.held.length < MOST_HELD) place.held.push(event);
      return [];
    }
    place.rev = event.rev;
    if (event.t === "message.new") place.seq = event.message.seq;
    return [event];
  }

  /** A message of this client was committed: its place in the order is known, and there is nothing to emit. */
  acked(conversation: string, seq: number, rev: number): void {
    const place = this.place(conversation);
    if (!this.waiting && !this.behind.has(conversation) && rev === place.rev + 1) {
      place.rev = rev;
      place.seq = seq;
    } else if (rev > place.rev) this.fallBehind(conversation, rev);
  }

  /** Forgets a conversation that the user has left. Returns the events to emit, once. */
  forget(id: string, reason = "unknown"): Body[] {
    this.behind.delete(id);
    this.aliases.delete(id);
    this.formerAliases.delete(id);
    return this.places.delete(id) ? [{ t: "conversation.gone", conversation: id, reason }] : [];
  }

  // --- syncs ---------------------------------------------------------------------------------------------------------

  /** The seq after which messages of this page are missing, and the seq up to which. They were changed later and come
   * with a later page, but are emitted in their place: see `takeHistory`. */
  hole(id: string, changes: Body): [after: number, until: number] | undefined {
    const place = this.places.get(id);
    if (!place) return undefined;
    const fresh: number[] = changes.messages.map((message: Body) => message.seq).filter((seq: number) => seq > place.seq);
    const top = Math.max(...fresh);
    return fresh.length && top - place.seq > fresh.length ? [place.seq, top] : undefined;
  }

  /** A page of history. Returns the new messages in their present state, in the order of seq. */
  takeHistory(id: string, messages: Body[]): Body[] {
    const place = this.places.get(id);
    if (!place) return [];
    const events = missedMessages(id, messages, place.seq).filter((event) => event.t === "message.new");
    place.seq = Math.max(place.seq, ...events.map((event) => event.message.seq));
    return events;
  }

  /** A page of conversation.sync. Returns the missed events, then the held ones that follow. `known`: revs, by seq, at
   * which messages were emitted from history. */
  takeChanges(id: string, changes: Body, known = new Map<number, number>()): Body[] {
    const place = this.places.get(id);
    if (!place) return [];
    const messages = changes.messages.filter((message: Body) => known.get(message.seq) !== message.rev);
    let events = inOrder([...missedMessages(id, messages, place.seq), ...missedMembers(id, changes)]);
    const firstRev = place.rev + 1;
    place.seq = Math.max(place.seq, ...changes.messages.map((message: Body) => message.seq));
    const info = changes.info && JSON.stringify(changes.info);
    if (info !== place.info) events = [...missedInfo(id, changes, firstRev, place.seq), ...events];
    place.rev = Math.max(place.rev, changes.rev);
    place.info = changes.more ? info : undefined;
    if (changes.more) return events;
    this.behind.delete(id);
    const held = place.held;
    place.held = [];
    for (const event of held) events.push(...this.takeDurable(event));
    if (place.rev < place.top) this.behind.add(id);
    return events;
  }
}
