// One conversation for the app: its snapshot, and what can be done in it.
import type { ChatClient } from "./client.js";
import type { ConversationState } from "./conversation-state.js";
import { uuid } from "./ids.js";
import type { SendFields } from "./outbox.js";
import type { Readable } from "./readable.js";
import type { Store } from "./store.js";
import { monotonic } from "./time.js";
import type { ConversationSnapshot } from "./views.js";
import type { MessageAck, SetConversation, Settings } from "./wire.js";

/** "Repeat it every 3 to 5 seconds" */
const TYPING_EVERY_MS = 4_000;
const TYPING_ENDS_MS = 6_000;
const DRAFT_AFTER_MS = 800;
const READ_AFTER_MS = 200;
const NO_SETTINGS: Settings = {
  muted_until: null,
  archived: false,
  pinned_at: null,
  hidden: false,
  draft: null,
  draft_at: null,
  notify: null,
};

export interface Message extends Omit<SendFields, "conversation" | "client_id"> {
  /** Chosen by the client, unless you want to send a message once more that you sent before. */
  client_id?: string;
  /** Shown with the message until it is sent, such as the address of a picture. It is not sent. */
  local?: unknown;
}

/** A message on its way. */
export interface Sending {
  client_id: string;
  /** Rejected with Refused if the server refuses the message for good. It may be ignored: the message shows its state. */
  ack: Promise<MessageAck>;
}

/** While it has subscribers, it has the latest messages. */
export class ConversationHandle implements Readable<ConversationSnapshot> {
  readonly get: () => ConversationSnapshot;
  readonly subscribe: Readable<ConversationSnapshot>["subscribe"];
  private typingSince = -Infinity;
  private typingTimer: ReturnType<typeof setTimeout> | undefined;
  private draftTimer: ReturnType<typeof setTimeout> | undefined;
  private readTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly client: ChatClient,
    private readonly store: Store,
    private readonly state: ConversationState,
  ) {
    this.get = state.snapshot.get;
    this.subscribe = state.snapshot.subscribe;
  }

  get id(): string {
    return this.state.id;
  }

  /** Loads the conversation and its latest messages. Subscribing does so, too. */
  load(): Promise<void> {
    return this.store.loadLatest(this.state);
  }

  /** Loads a page of messages before those that are there. */
  loadOlder(): Promise<void> {
    return this.store.loadOlder(this.state);
  }

  /** Sends a text, or a message with attachments, a reply and so on. It is shown at once, and sent when possible. */
  send(message: string | Message): Sending {
    const { local, client_id: chosen, ...fields } = typeof message === "string" ? { text: message } : message;
    const client_id = chosen ?? uuid();
    this.stopTyping();
    if (this.state.info.settings?.draft) this.setDraft("");
    return { client_id, ack: this.client.outbox.put({ ...fields, conversation: this.id, client_id }, local) };
  }

  /** Reports that the user has read everything, or all messages up to `seq`. */
  markRead(seq = this.state.topSeq): void {
    if (seq <= (this.state.info.read_seq ?? 0)) return;
    this.state.readUpTo(seq);
    // Scrolling marks one message after the other.
    clearTimeout(this.readTimer);
    this.readTimer = setTimeout(() => {
      this.client.ask("receipt.read", { conversation: this.id, seq }).catch(() => {});
    }, READ_AFTER_MS);
  }

  /** Call it for each key: others see that the user is typing, until a message is sent or some seconds have passed. */
  typing(): void {
    clearTimeout(this.typingTimer);
    this.typingTimer = setTimeout(() => this.stopTyping(), TYPING_ENDS_MS);
    if (monotonic() - this.typingSince < TYPING_EVERY_MS) return;
    this.typingSince = monotonic();
    this.client.notifyIfConnected("typing.start", { conversation: this.id });
  }

  stopTyping(): void {
    clearTimeout(this.typingTimer);
    if (this.typingSince === -Infinity) return;
    this.typingSince = -Infinity;
    this.client.notifyIfConnected("typing.stop", { conversation: this.id });
  }

  /** Keeps an unsent text, which the other devices of the user get. It is in `conversation.settings.draft`. */
  setDraft(text: string): void {
    const { settings } = this.state.info;
    if ((settings?.draft ?? "") === text) return;
    this.state.info.settings = { ...NO_SETTINGS, ...settings, draft: text || null };
    this.state.hasNewDraft = true;
    this.state.changed();
    clearTimeout(this.draftTimer);
    this.draftTimer = setTimeout(() => void this.saveDraft(text), DRAFT_AFTER_MS);
  }

  private async saveDraft(text: string): Promise<void> {
    const done = await this.client.ask("conversation.settings", { conversation: this.id, draft: text }).catch(() => null);
    if ((this.state.info.settings?.draft ?? "") === text) this.state.hasNewDraft = false;
    if (done && !this.state.hasNewDraft) this.store.take({ id: this.id, settings: done.conversation.settings });
  }

  async edit(message: string, text: string): Promise<void> {
    const done = await this.client.call("message.edit", { conversation: this.id, message, text });
    this.state.put(done.message, "state");
    this.state.changed();
  }

  /** For all members, or with `forAll` false only for this user. */
  async delete(message: string, forAll = true): Promise<void> {
    const scope = forAll ? "all" : "me";
    await this.client.call("message.delete", { conversation: this.id, message, scope });
    if (!forAll) this.state.mark({ conversation: this.id, message, seq: 0, starred_at: null, hidden: true });
  }

  async react(message: string, emoji: string, on = true): Promise<void> {
    await this.client.call(on ? "reaction.add" : "reaction.remove", { conversation: this.id, message, emoji });
    const known = this.state.byMessageId(message);
    if (known) await this.store.refetch(this.state, known.seq);
  }

  async star(message: string, on = true): Promise<void> {
    await this.client.call(on ? "message.star" : "message.unstar", { conversation: this.id, message });
    this.state.alter(message, () => ({ starred_at: on ? this.client.now() : undefined }));
  }

  async vote(message: string, options: number[]): Promise<void> {
    const done = await this.client.call("poll.vote", { conversation: this.id, message, options });
    this.state.put(done.message, "state");
    this.state.changed();
  }

  /** Sends a message again that has failed. */
  retry(clientId: string): void {
    this.client.outbox.retry(clientId);
  }

  /** Drops a message that has failed or waits. */
  discard(clientId: string): void {
    this.client.outbox.discard(clientId);
  }

  /** Changes settings of this user: muted_until, archived, pinned, hidden, notify, labels. */
  async settings(fields: Omit<SetConversation, "t" | "conversation">): Promise<void> {
    const done = await this.client.call("conversation.settings", { ...fields, conversation: this.id });
    this.store.take({ id: this.id, settings: done.conversation.settings });
  }

  stop(): void {
    for (const timer of [this.typingTimer, this.draftTimer, this.readTimer]) clearTimeout(timer);
  }
}

