// Where messages are written. Enter sends, Shift+Enter begins a new line.
import type { ChatMessage, ConversationHandle, OutgoingMessage } from "@chatd/client";
import { announce, attempt, toast, type App } from "./app.js";
import { iconButton } from "./controls.js";
import { el, fill, newId, set } from "./dom.js";
import { openNewPoll } from "./poll.js";
import { previewOf } from "./preview.js";
import { canRecord, voiceButton } from "./recorder.js";
import { trayOf, type Tray } from "./uploads.js";

interface ComposerOptions {
  lastOwn(): ChatMessage | undefined;
  /** What Escape does if there is nothing to cancel. */
  leave?(): void;
  /** The thread in which the messages are replies. */
  thread?: string;
}

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
  private readonly tray: Tray;
  private subject: Subject | null = null;
  private isSending = false;

  constructor(
    private readonly app: App,
    private readonly handle: ConversationHandle,
    private readonly options: ComposerOptions,
  ) {
    const id = newId();
    this.input = el("textarea", { id, rows: 1, dir: "auto", placeholder: "Message", enterkeyhint: "send" });
    this.tray = trayOf(app, options.thread ?? handle.id);
    this.input.value = options.thread ? this.tray.text : (handle.get().conversation?.settings?.draft ?? "");
    this.input.addEventListener("input", () => this.onInput());
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    const send = iconButton("send", "Send", () => this.submit(), { class: "icon-button primary" });
    this.node = el(
      "div",
      { class: "composer", role: "group", "aria-label": "New message" },
      this.subjectBar,
      this.tray.node,
      this.tooLong,
      el(
        "div",
        { class: "composer-row" },
        this.tools,
        el("label", { for: id, class: "hidden" }, "Message"),
        this.input,
        send,
      ),
    );
    this.addTools();
  }

  focus(): void {
    this.input.focus();
  }

  private addTools(): void {
    const { app, handle, options } = this;
    const files = el("input", {
      type: "file",
      multiple: true,
      class: "hidden",
      tabindex: -1,
      "aria-hidden": "true",
    });
    files.addEventListener("change", () => {
      for (const file of files.files ?? []) this.tray.add(file);
      files.value = "";
      this.focus();
    });
    this.tools.append(
      iconButton("clip", "Attach files", () => files.click()),
      files,
    );
    if (canRecord()) this.tools.append(voiceButton((file, waveform) => this.addVoice(file, waveform)));
    if (!options.thread) this.tools.append(iconButton("chart", "New poll", () => openNewPoll(app, handle.id)));
    this.node.addEventListener("paste", (event) => this.onFiles(event, event.clipboardData));
    this.node.addEventListener("dragover", (event) => event.preventDefault());
    this.node.addEventListener("drop", (event) => this.onFiles(event, event.dataTransfer));
  }

  private onFiles(event: Event, data: DataTransfer | null): void {
    if (!data?.files.length) return;
    event.preventDefault();
    for (const file of data.files) this.tray.add(file);
  }

  private addVoice(file: File, waveform: number[]): void {
    this.tray.add(file, waveform);
    this.focus();
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
    if (this.options.thread) this.tray.text = this.input.value;
    else if (!this.subject) this.handle.setDraft(this.input.value);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Escape" && this.subject) {
      event.preventDefault();
      this.endSubject();
    } else if (event.key === "Escape" && this.options.leave) {
      event.preventDefault();
      this.options.leave();
    } else if (event.key === "ArrowUp" && !this.input.value && !this.subject) {
      const message = this.options.lastOwn();
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
    if (!this.check() || this.isSending || (!text && this.tray.isEmpty)) return this.focus();
    const { subject } = this;
    if (subject?.kind === "edit") {
      this.endSubject();
      void this.saveEdit(subject.message, text);
    } else if (this.tray.isEmpty) void this.send(text, {});
    else void this.sendWithFiles();
    this.focus();
  }

  private async send(text: string, more: Pick<OutgoingMessage, "attachments" | "local">): Promise<void> {
    const { thread } = this.options;
    const reply = this.replyTo;
    const fields = {
      ...(text ? { text } : {}),
      ...(reply ? { reply_to: reply } : {}),
      ...(thread ? { thread } : {}),
    };
    const isDone = await attempt(() => this.handle.send({ ...fields, ...more }));
    if (!isDone) return;
    this.input.value = this.tray.text = "";
    if (this.subject) this.endSubject();
  }

  /** The text is sent when all files have arrived. */
  private async sendWithFiles(): Promise<void> {
    this.isSending = true;
    announce("Uploading…");
    const files = await this.tray.take();
    this.isSending = false;
    if (files) await this.send(this.input.value.trim(), files);
    else toast("A file could not be uploaded. Try again, or remove it.", "error");
  }

  private async saveEdit({ id, text: before }: ChatMessage, text: string): Promise<void> {
    if (!id || text === before) return;
    const isDone = await attempt(() => this.handle.edit(id, text));
    // A refused edit is not lost.
    if (!isDone && !this.input.value) this.input.value = text;
    else if (!isDone) toast("The edit was not saved.", "error");
  }
}
