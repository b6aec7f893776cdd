// A conversation: its header, its messages, and the composer.
import type { ChatMessage, ConversationHandle } from "@chatd/client";
import { titleOf, type App } from "./app.js";
import { avatar, setPresence } from "./avatar.js";
import { Composer } from "./composer.js";
import { iconButton } from "./controls.js";
import { el, Ends, fill, set } from "./dom.js";
import { count, lastSeen } from "./format.js";
import { go } from "./routes.js";
import { MessageList } from "./thread.js";

const GONE = {
  left: "You have left this conversation.",
  removed: "You were removed from this conversation.",
  dissolved: "This conversation has ended.",
  unknown: "This conversation has ended.",
};

export class ConversationPage {
  readonly node: HTMLElement;
  private readonly handle: ConversationHandle;
  private readonly list: MessageList;
  private readonly composer: Composer;
  private readonly header = el("header", { class: "pane-header" });
  private readonly title = el("h2", { class: "pane-title", tabindex: -1 });
  private readonly subtitle = el("p", { class: "pane-subtitle" });
  private readonly sign = el("span", { class: "pane-sign" });
  private readonly gone = el("p", { class: "gone-notice", role: "status", hidden: true });
  private readonly ends = new Ends();
  private watched: string | null = null;
  private endPresence = (): void => {};

  constructor(
    private readonly app: App,
    readonly id: string,
  ) {
    this.handle = app.client.conversation(id);
    this.list = new MessageList(app, this.handle, { menu: () => {}, key: () => {} });
    this.composer = new Composer(app, this.handle, () => this.lastOwn());
    this.header.append(
      iconButton("back", "Back to the list", () => go("#/"), { class: "icon-button back" }),
      this.sign,
      el("div", { class: "pane-titles" }, this.title, this.subtitle),
    );
    this.node = el("main", { class: "pane" }, this.header, this.list.node, this.gone, this.composer.node);
  }

  start(): void {
    this.ends.add(this.handle.subscribe(() => this.update()));
    this.list.start();
    this.update();
  }

  stop(): void {
    this.handle.stopTyping();
    this.endPresence();
    this.ends.run();
    this.list.stop();
  }

  focus(): void {
    if (this.composer.node.hidden) this.title.focus();
    else this.composer.focus();
  }

  private lastOwn(): ChatMessage | undefined {
    return this.handle.get().messages.findLast(({ own, id, text, deleted_at }) => own && id && text && !deleted_at);
  }

  private update(): void {
    const { conversation, gone } = this.handle.get();
    const name = titleOf(conversation);
    if (this.title.textContent !== name) {
      fill(this.title, el("bdi", {}, name));
      fill(this.sign, avatar(conversation?.partner?.user ?? this.id, name));
    }
    const partner = conversation?.kind === "direct" ? (conversation.partner?.user ?? null) : null;
    if (partner !== this.watched) {
      this.watched = partner;
      this.endPresence();
      this.endPresence = partner ? this.app.client.presence(partner).subscribe(() => this.showSubtitle()) : () => {};
    }
    this.showSubtitle();
    this.gone.hidden = gone === null;
    this.composer.node.hidden = gone !== null;
    if (gone) fill(this.gone, GONE[gone]);
    this.composer.takeDraft(conversation?.settings?.draft);
  }

  private showSubtitle(): void {
    const { client } = this.app;
    const { conversation } = this.handle.get();
    let text = conversation?.kind === "group" ? count(conversation.member_count ?? 0, "member") : "";
    if (this.watched) {
      const { status, last_seen } = client.presence(this.watched).get();
      text = status === "offline" ? lastSeen(last_seen, client.now()) : status;
      const sign = this.sign.firstElementChild;
      if (sign) setPresence(sign, status);
    }
    if (this.subtitle.textContent !== text) fill(this.subtitle, text);
    set(this.subtitle, "data-presence", this.watched && client.presence(this.watched).get().status);
  }
}
