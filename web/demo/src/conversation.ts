// A conversation: its header, its messages, the composer, and a panel beside it.
import type { ChatMessage, ConversationHandle } from "@chatd/client";
import { attempt, titleOf, type App } from "./app.js";
import { avatar, setPresence } from "./avatar.js";
import { Composer } from "./composer.js";
import { iconButton } from "./controls.js";
import { confirmed } from "./dialog.js";
import { el, Ends, fill } from "./dom.js";
import { count, lastSeen } from "./format.js";
import { GroupPanel } from "./group.js";
import { openMenu, type MenuItem } from "./menu.js";
import type { Around } from "./message-actions.js";
import { Replies } from "./replies.js";
import { openReport } from "./report.js";
import { go } from "./routes.js";
import { strangerBar } from "./strangers.js";
import { MessageList } from "./thread.js";

const GONE = {
  left: "You have left this conversation.",
  removed: "You were removed from this conversation.",
  dissolved: "This conversation has ended.",
  unknown: "This conversation has ended.",
};
const HOUR_MS = 3_600_000;

interface Panel {
  readonly node: HTMLElement;
  start(): void;
  stop(): void;
}

export class ConversationPage {
  readonly node: HTMLElement;
  private readonly handle: ConversationHandle;
  private readonly list: MessageList;
  private readonly composer: Composer;
  private readonly title = el("h2", { class: "pane-title", tabindex: -1 });
  private readonly subtitle = el("p", { class: "pane-subtitle" });
  private readonly sign = el("span", { class: "pane-sign" });
  private readonly membersButton: HTMLElement;
  private readonly gone = el("div", { class: "gone-notice", hidden: true });
  private readonly stranger = el("div", {});
  private readonly ends = new Ends();
  private panel: Panel | null = null;
  private watched: string | null = null;
  private endPresence = (): void => {};

  constructor(
    private readonly app: App,
    readonly id: string,
    private readonly search: (conversation: string) => void,
  ) {
    this.handle = app.client.conversation(id);
    const around: Around = {
      reply: (message) => this.composer.reply(message),
      edit: (message) => this.composer.edit(message),
      openThread: (message) => this.openThread(message),
      leave: () => this.focus(),
    };
    this.list = new MessageList(app, this.handle, around);
    this.composer = new Composer(app, this.handle, {
      lastOwn: () => this.lastOwn(),
      leave: () => this.list.focusLast(),
    });
    this.membersButton = iconButton("people", "Members", () =>
      this.openPanel((close) => new GroupPanel(app, this.handle, close)),
    );
    const more = iconButton("more", "Conversation", () => openMenu(more, "Conversation", this.items()), {
      "aria-haspopup": "menu",
    });
    const header = el(
      "header",
      { class: "pane-header" },
      iconButton("back", "Back to the list", () => go("#/"), { class: "icon-button back" }),
      this.sign,
      el("div", { class: "pane-titles" }, this.title, this.subtitle),
      this.membersButton,
      more,
    );
    const pane = el("main", { class: "pane" }, header, this.stranger, this.list.node, this.gone, this.composer.node);
    this.node = el("div", { class: "page" }, pane);
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
    this.panel?.stop();
    this.list.stop();
  }

  focus(): void {
    if (this.composer.node.hidden) this.title.focus();
    else this.composer.focus();
  }

  /** Shows a message that was searched for. */
  find(seq: number): void {
    void this.list.find(seq);
  }

  // --- the panel ----------------------------------------------------------------------------------------------------

  private openPanel(make: (close: () => void) => Panel): void {
    const before = document.activeElement as HTMLElement | null;
    this.closePanel();
    this.panel = make(() => {
      this.closePanel();
      if (before?.isConnected) before.focus();
      else this.focus();
    });
    this.node.append(this.panel.node);
    this.panel.start();
  }

  private closePanel(): void {
    this.panel?.stop();
    this.panel?.node.remove();
    this.panel = null;
  }

  private openThread({ id }: ChatMessage): void {
    if (id) this.openPanel((close) => new Replies(this.app, this.handle, id, close));
  }

  // --- the menu -----------------------------------------------------------------------------------------------------

  private items(): MenuItem[] {
    const { client } = this.app;
    const { conversation: view } = this.handle.get();
    const settings = view?.settings;
    const isMuted = (settings?.muted_until ?? 0) > client.now();
    const set = (fields: Parameters<ConversationHandle["settings"]>[0], done: string) => (): void =>
      void attempt(() => this.handle.settings(fields), done);
    const partner = view?.kind === "direct" ? view.partner : null;
    const items: MenuItem[] = [
      { text: "Search here", act: () => this.search(this.id) },
      isMuted
        ? { text: "Unmute", act: set({ muted_until: 0 }, "Not muted any more.") }
        : {
            text: "Mute for 8 hours",
            act: set({ muted_until: client.now() + 8 * HOUR_MS }, "Muted for 8 hours."),
          },
      {
        text: settings?.pinned_at ? "Unpin" : "Pin to the top",
        act: set({ pinned: !settings?.pinned_at }, "Done."),
      },
      {
        text: settings?.archived ? "Back from the archive" : "Archive",
        act: set({ archived: !settings?.archived }, "Done."),
      },
    ];
    if (partner) {
      const name = titleOf(view);
      items.push(
        {
          text: "Add to contacts",
          act: () => void attempt(() => client.call("contact.add", { user: partner.user }), "Added."),
        },
        { text: "Report", act: () => openReport(this.app, { user: partner.user }) },
        { text: "Block", act: () => void this.block(partner.user, name), isDangerous: true },
      );
    }
    if (view?.kind !== "match") items.push({ text: "Hide until the next message", act: () => void this.hide() });
    return items;
  }

  private async block(user: string, name: string): Promise<void> {
    if (await confirmed(`${name} can no longer write to you. You can unblock them in the settings.`, "Block"))
      await attempt(() => this.app.client.call("user.block", { user }), "Blocked.");
  }

  private async hide(): Promise<void> {
    if (await attempt(() => this.handle.settings({ hidden: true }))) go("#/");
  }

  // --- what is shown ------------------------------------------------------------------------------------------------

  private lastOwn(): ChatMessage | undefined {
    const { messages } = this.handle.get();
    const last = messages.findLast(
      ({ own, text, deleted_at, poll, thread }) => own && text && !deleted_at && !poll && !thread,
    );
    // One that is not sent yet cannot be edited, and an earlier one is not meant.
    return last?.id ? last : undefined;
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
    this.membersButton.hidden = conversation?.kind !== "group";
    const isMatch = conversation?.kind === "match" && !gone;
    if (isMatch !== this.stranger.childElementCount > 0)
      fill(this.stranger, isMatch && strangerBar(this.app, this.handle));
    this.showEnd(gone, conversation?.kind === "match");
    this.composer.takeDraft(conversation?.settings?.draft);
  }

  private showEnd(gone: keyof typeof GONE | null, isMatch: boolean): void {
    if (this.gone.hidden === (gone === null)) return;
    this.gone.hidden = gone === null;
    this.composer.node.hidden = gone !== null;
    if (!gone) return;
    const hadFocus = this.composer.node.contains(document.activeElement) || document.activeElement === document.body;
    const text = isMatch ? "The stranger is gone. This conversation has ended." : GONE[gone];
    const next = el("a", { class: "button", href: "#/strangers" }, "Find the next stranger");
    fill(this.gone, el("p", { role: "status" }, text), isMatch && next);
    if (hadFocus) (isMatch ? next : this.title).focus();
  }

  private showSubtitle(): void {
    const { client } = this.app;
    const { conversation } = this.handle.get();
    const { kind, member_count = 0 } = conversation ?? {};
    let text = kind === "group" ? count(member_count, "member") : kind === "match" ? "a stranger" : "";
    if (this.watched) {
      const { status, last_seen } = client.presence(this.watched).get();
      text = status === "offline" ? lastSeen(last_seen, client.now()) : status;
      const sign = this.sign.firstElementChild;
      if (sign) setPresence(sign, status);
    }
    if (this.subtitle.textContent !== text) fill(this.subtitle, text);
  }
}
