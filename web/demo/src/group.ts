// The members of a group and what can be changed in it, beside the conversation.
import type { ConversationHandle, ConversationView, Member } from "@chatd/client";
import { attempt, titleOf, type App } from "./app.js";
import { avatar } from "./avatar.js";
import { button, field, form, iconButton, submitButton } from "./controls.js";
import { confirmed } from "./dialog.js";
import { el, Ends, fill, set } from "./dom.js";
import { NAMELESS } from "./format.js";
import { openMenu, type MenuItem } from "./menu.js";
import { userPicker } from "./new-conversation.js";
import { go } from "./routes.js";

const RANKS = { member: 0, moderator: 1, admin: 2, owner: 3 };

export class GroupPanel {
  readonly node: HTMLElement;
  private readonly members = el("ul", { class: "people", "aria-label": "Members" });
  private readonly name = el("input", { type: "text", dir: "auto", maxlength: 200 });
  private readonly manage = el("div", { class: "stack" });
  private readonly more = button("Show more", () => void this.loadMore());
  private readonly ends = new Ends();
  private readonly loaded = new Map<string, Member>();
  private cursor: string | null = null;
  private shown = "";

  constructor(
    private readonly app: App,
    private readonly handle: ConversationHandle,
    close: () => void,
  ) {
    const title = el("h2", { class: "pane-title", tabindex: -1 }, "Group");
    const header = el("header", { class: "pane-header" }, title, iconButton("close", "Close", close));
    const leave = button("Leave the group", () => void this.leave(), { class: "button danger" });
    const body = el(
      "div",
      { class: "panel-body stack" },
      this.manage,
      el("h3", {}, "Members"),
      this.members,
      this.more,
      leave,
    );
    this.node = el("aside", { class: "panel", "aria-label": "Group" }, header, body);
    this.node.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented) close();
    });
    queueMicrotask(() => title.focus());
  }

  start(): void {
    this.ends.add(this.handle.subscribe(() => this.update()));
    this.build();
    this.update();
  }

  stop(): void {
    this.ends.run();
  }

  private get view(): ConversationView | undefined {
    return this.handle.get().conversation;
  }

  private get rank(): number {
    return RANKS[this.view?.role ?? "member"];
  }

  private build(): void {
    const rename = (): void =>
      void attempt(
        () =>
          this.app.client.call("conversation.edit", {
            conversation: this.handle.id,
            title: this.name.value.trim(),
          }),
        "Saved.",
      );
    this.name.value = this.view?.title ?? "";
    fill(
      this.manage,
      form(
        rename,
        { class: "stack" },
        field("Name of the group", this.name),
        el("div", { class: "buttons" }, submitButton("Rename", { class: "button" })),
      ),
      userPicker(this.app, "Add somebody", ({ id }) => {
        const add = this.app.client.call("member.add", { conversation: this.handle.id, users: [id] });
        void attempt(() => add, "Added.");
      }),
      button("Copy an invite link", () => void this.invite()),
    );
  }

  private update(): void {
    const { view } = this;
    this.manage.hidden = this.rank < RANKS.admin;
    const all = new Map([...this.loaded, ...(view?.members ?? []).map((one): [string, Member] => [one.user, one])]);
    const isWhole = all.size >= (view?.member_count ?? 0);
    this.more.hidden = isWhole || this.cursor === "";
    const key = JSON.stringify([...all.values()].map(({ user, name, role }) => [user, name, role]));
    if (key === this.shown) return;
    this.shown = key;
    fill(
      this.members,
      [...all.values()].map((member) => this.member(member)),
    );
  }

  private member(member: Member): HTMLElement {
    const { user, role } = member;
    const name = member.name ?? member.handle ?? NAMELESS;
    const isMe = user === this.app.client.user;
    const items: MenuItem[] = isMe ? [] : [{ text: "Write a message", act: () => go(`#/with/${user}`) }];
    if (!isMe && RANKS[role] < this.rank) {
      if (this.rank > RANKS.moderator)
        for (const other of ["admin", "moderator", "member"] as const)
          if (other !== role && RANKS[other] < this.rank)
            items.push({ text: `Make ${other}`, act: () => this.setRole(user, other) });
      items.push({ text: "Remove from the group", act: () => void this.remove(user, name), isDangerous: true });
    }
    const actions = iconButton("more", `Actions for ${name}`, () => openMenu(actions, name, items), {
      "aria-haspopup": "menu",
    });
    return el(
      "li",
      {},
      avatar(user, name),
      el(
        "span",
        { class: "grow" },
        el("bdi", {}, name),
        isMe && " (you)",
        " ",
        role !== "member" && el("small", {}, role),
      ),
      items.length > 0 && actions,
    );
  }

  private setRole(user: string, role: "admin" | "moderator" | "member"): void {
    void attempt(() => this.app.client.call("member.role", { conversation: this.handle.id, user, role }));
  }

  private async remove(user: string, name: string): Promise<void> {
    if (await confirmed(`Remove ${name} from ${titleOf(this.view)}?`, "Remove"))
      await attempt(() => this.app.client.call("member.remove", { conversation: this.handle.id, user }));
  }

  private async loadMore(): Promise<void> {
    await attempt(async () => {
      const fields = { conversation: this.handle.id, limit: 100 };
      const page = await this.app.client.call("member.list", this.cursor ? { ...fields, cursor: this.cursor } : fields);
      for (const member of page.items) this.loaded.set(member.user, member);
      // An empty text: there are no more.
      this.cursor = page.cursor ?? "";
      set(this.more, "hidden", page.cursor === null);
      this.update();
    });
  }

  private async invite(): Promise<void> {
    await attempt(async () => {
      const { client } = this.app;
      const conversation = this.handle.id;
      if (this.view?.joining === "closed") await client.call("conversation.edit", { conversation, joining: "invite" });
      const { secret } = await client.call("invite.create", { conversation, expires_in: 7 * 86_400 });
      await navigator.clipboard.writeText(`${location.origin}/#/join/${secret}`);
    }, "An invite link for a week is copied.");
  }

  private async leave(): Promise<void> {
    if (!(await confirmed(`Leave ${titleOf(this.view)}?`, "Leave"))) return;
    if (await attempt(() => this.app.client.call("conversation.leave", { conversation: this.handle.id }))) go("#/");
  }
}
