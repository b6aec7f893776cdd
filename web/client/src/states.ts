// Converts the states of a sync into the events that were missed. Pure; the counterpart of chatd/client/states.py.
import type { Body } from "./wire.js";

/** Whether the event has a place in the order of its conversation. */
export function isDurable(event: Body): boolean {
  return event.rev !== undefined && event.conversation !== undefined;
}

/** The conversation of an event: some events name it, some contain it. */
export function conversationOf(event: Body): string {
  return typeof event.conversation === "string" ? event.conversation : event.conversation.id;
}

/** Events of new messages, and of changes of known ones. */
export function missedMessages(id: string, messages: Body[], knownSeq: number): Body[] {
  return messages.map((message) => ({
    t: message.seq > knownSeq ? "message.new" : "message.update",
    conversation: id,
    rev: message.rev,
    message,
  }));
}

/** Sorts by rev, but new messages by seq: a message that was changed later keeps its place. */
export function inOrder(events: Body[]): Body[] {
  const placed: [number, number, Body][] = [];
  let first = Infinity;
  const fresh = events.filter((event) => event.t === "message.new");
  for (const event of fresh.sort((a, b) => b.message.seq - a.message.seq)) {
    first = Math.min(first, event.rev);
    placed.push([first, event.message.seq, event]);
  }
  for (const event of events) if (event.t !== "message.new") placed.push([event.rev, Infinity, event]);
  return placed.sort((a, b) => a[0] - b[0] || (a[1] === b[1] ? 0 : a[1] - b[1])).map((place) => place[2]);
}

/** The states of members, their receipts, then departures. */
export function missedMembers(id: string, changes: Body): Body[] {
  const events: Body[] = [];
  for (const member of changes.members) {
    const head = { conversation: id, rev: member.rev };
    const { user, read_seq: read, delivered_seq: delivered } = member;
    if (member.role !== undefined) events.push({ t: "member.update", ...head, member });
    if (read) events.push({ t: "message.read", ...head, user, seq: read });
    if (delivered > read) events.push({ t: "message.delivered", ...head, user, seq: delivered });
  }
  for (const departure of changes.departures ?? [])
    events.push({ t: "member.left", conversation: id, rev: departure.rev, departure });
  return events;
}

/** The shared state of the conversation. Its rev may be anywhere in the page, so it comes first. */
export function missedInfo(id: string, changes: Body, firstRev: number, seq: number): Body[] {
  if (!changes.info) return [];
  return [{ t: "conversation.update", conversation: { id, seq, rev: changes.rev, ...changes.info }, rev: firstRev }];
}

/** The changes that may concern the user only: counters and settings, marks on messages, followed threads, the rest. */
export function sessionChanged(since: string | null, state: Body): Body[] {
  const conversations = state.conversations.filter((one: Body) => one.settings !== undefined);
  const marks = state.marks ?? [];
  const threads = state.threads ?? [];
  const own = Boolean(state.own);
  if (!conversations.length && !marks.length && !threads.length && !own) return [];
  const event: Body = { t: "session.changed", since, conversations, marks, own };
  if (threads.length) event.threads = threads;
  return [event];
}

/** Makes the store drop the conversation and load its messages up to `seq` again. */
export function resetEvent(id: string, seq: number): Body {
  return { t: "conversation.reset", conversation: id, seq };
}
