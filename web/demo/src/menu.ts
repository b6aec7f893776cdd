// A menu beside a button. Arrow keys move in it, Escape closes it, and the focus returns to where it was.
import { el, type Child } from "./dom.js";

export interface MenuItem {
  text: string;
  act: () => void;
  /** Shown instead of the text, which is then the label. */
  sign?: string;
  isDangerous?: boolean;
}

let closeOpen = (): void => {};

/** `signs`: items that are shown in a row above the others. */
export function openMenu(
  anchor: HTMLElement,
  label: string,
  items: readonly MenuItem[],
  signs: readonly MenuItem[] = [],
): void {
  closeOpen();
  const before = document.activeElement as HTMLElement | null;
  const item = ({ text, act, sign, isDangerous }: MenuItem): HTMLElement =>
    el(
      "button",
      {
        type: "button",
        role: "menuitem",
        tabindex: -1,
        class: sign ? "menu-sign" : isDangerous ? "menu-item danger" : "menu-item",
        "aria-label": sign && text,
        title: sign && text,
        on: {
          click: () => {
            close(true);
            act();
          },
        },
      },
      sign ?? text,
    );
  const row: Child = signs.length ? el("div", { class: "menu-signs", role: "none" }, signs.map(item)) : null;
  const menu = el("div", { class: "menu", role: "menu", "aria-label": label }, row, items.map(item));
  const all = [...menu.querySelectorAll<HTMLElement>("[role=menuitem]")];

  function close(withFocus: boolean): void {
    if (closeOpen !== closeThis) return;
    closeOpen = () => {};
    menu.remove();
    document.removeEventListener("pointerdown", onPointer, true);
    window.removeEventListener("resize", closeThis);
    if (withFocus) (before?.isConnected ? before : anchor).focus({ preventScroll: true });
  }
  const closeThis = (): void => close(false);
  const onPointer = (event: Event): void => void (menu.contains(event.target as Node) || close(false));

  menu.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement as HTMLElement);
    const inline = getComputedStyle(menu).direction === "rtl" ? -1 : 1;
    const steps: Record<string, number> = {
      ArrowRight: inline,
      ArrowLeft: -inline,
      Home: -at,
      End: all.length - 1 - at,
    };
    // Down from the row of signs leads to the first item below it.
    if (event.key === "ArrowDown") steps.ArrowDown = at < signs.length ? signs.length - at : 1;
    if (event.key === "ArrowUp") steps.ArrowUp = at > 0 && at < signs.length ? -at - 1 : -1;
    event.stopPropagation();
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      return close(true);
    }
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    all[(at + step + all.length) % all.length]?.focus();
  });
  document.body.append(menu);
  place(menu, anchor);
  closeOpen = closeThis;
  document.addEventListener("pointerdown", onPointer, true);
  window.addEventListener("resize", closeThis);
  all[0]?.focus({ preventScroll: true });
}

/** Beside the anchor, and inside of the window. */
function place(menu: HTMLElement, anchor: HTMLElement): void {
  const { left, right, top, bottom } = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const isRtl = getComputedStyle(menu).direction === "rtl";
  const x = isRtl ? left : right - width;
  const y = bottom + height < innerHeight ? bottom : top - height;
  menu.style.left = `${Math.max(8, Math.min(x, innerWidth - width - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(y, innerHeight - height - 8))}px`;
}
