// Where messages are written. Enter sends, Shift+Enter begins a new line.
import type { ChatMessage, ConversationHandle } from "@chatd/client";
import { attempt, toast, type App } from "./app.js";
import { iconButton } from "./controls.js";
import { el, fill, newId, set } from "./dom.js";
import { previewOf } from "./preview.js";

interface Subject {
  kind: "reply" | "edit";
  message: ChatMessage;
}

export class Composer {
  readonly node: HTMLElement;
  private readonly input: HTMLTextAreaElement;
  private readonly subjectBar = el("div", { class: "subject", hidden: true });
  private readonly tooLong = el("p", { class: "error", role: "alert" });
  private readonly tools = el("div", { class: "tools" });
  private subject: Subject | null = null;

  constructor(
    private readonly app: App,
    private readonly handle: ConversationHandle,
    private readonly lastOwn: () => ChatMessage | undefined,
  ) {
    const id = newId();
    this.input = el("textarea", { id, rows: 1, dir: "auto", placeholder: "Message", enterkeyhint: "send" });
    this.input.value = handle.get().conversation?.settings?.draft ?? "";
    this.input.addEventListener("input", () => this.onInput());
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    const send = iconButton("send", "Send", () => this.submit(), { class: "icon-button primary" });
    this.node = el(
      "div",
      { class: "composer", role: "group", "aria-label": "New message" },
      this.subjectBar,
      this.tooLong,
      el("div", { class: "composer-row" }, this.tools, el("label", { for: id, class: "hidden" }, "Message"), this.input, send),
    );
  }

  focus(): void {
    this.input.focus();
  }

  addTool(tool: HTMLElement): void {
    this.tools.append(tool);
  }

  get replyTo(): string | null {
    return this.subject?.kind === "reply" ? this.subject.message.id : null;
  }

  /** A draft that another device has written, or that was loaded later; what is being written here stays. */
  takeDraft(draft: string | null | undefined): void {
    if (draft && !this.input.value && !this.subject && document.activeElement !== this.input) this.input.value = draft;
  }

  reply(message: ChatMessage): void {
    this.begin({ kind: "reply", message });
  }

  edit(message: ChatMessage): void {
    this.begin({ kind: "edit", message });
    this.input.value = message.text ?? "";
  }

  private begin(subject: Subject): void {
    if (this.subject?.kind === "edit") this.input.value = "";
    this.subject = subject;
    const text = previewOf(this.app, this.handle.get().conversation, subject.message).slice(0, 200);
    const label = subject.kind === "edit" ? "Edit message" : "Reply to";
    fill(
      this.subjectBar,
      el("span", { class: "subject-text" }, el("b", {}, label), " ", el("span", { dir: "auto" }, text)),
      iconButton("close", "Cancel", () => this.endSubject()),
    );
    this.subjectBar.hidden = false;
    this.focus();
  }

  endSubject(): void {
    if (this.subject?.kind === "edit") this.input.value = "";
    this.subject = null;
    this.subjectBar.hidden = true;
    this.check();
    this.focus();
  }

  private onInput(): void {
    this.check();
    if (this.subject?.kind === "edit") return;
    if (this.input.value) this.handle.typing();
    else this.handle.stopTyping();
    if (!this.subject) this.handle.setDraft(this.input.value);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Escape" && this.subject) {
      event.stopPropagation();
      this.endSubject();
    } else if (event.key === "ArrowUp" && !this.input.value && !this.subject) {
      const message = this.lastOwn();
      if (!message) return;
      event.preventDefault();
      this.edit(message);
    }
  }

  /** Whether the server would accept the length. */
  private check(): boolean {
    const max = this.app.client.session?.limits.max_text ?? Infinity;
    const over = new TextEncoder().encode(this.input.value.trim()).length - max;
    const text = over > 0 ? `This is too long by ${over.toLocaleString()} bytes. Shorten it, or send it in parts.` : "";
    if (this.tooLong.textContent !== text) fill(this.tooLong, text);
    set(this.input, "aria-invalid", over > 0 && "true");
    return over <= 0;
  }

  private submit(): void {
    const text = this.input.value.trim();
    if (!this.check() || !text) return this.focus();
    const { subject } = this;
    this.input.value = "";
    if (subject?.kind === "edit") {
      this.endSubject();
      void this.saveEdit(subject.message, text);
      return;
    }
    const reply = this.replyTo;
    void attempt(() => this.handle.send({ text, ...(reply ? { reply_to: reply } : {}) }));
    if (subject) this.endSubject();
    this.focus();
  }

  private async saveEdit({ id, text: before }: ChatMessage, text: string): Promise<void> {
    if (!id || text === before) return;
    const isDone = await attempt(() => this.handle.edit(id, text));
    // A refused edit is not lost.
    if (!isDone && !this.input.value) this.input.value = text;
    else if (!isDone) toast("The edit was not saved.", "error");
  }
}
