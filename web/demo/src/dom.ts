// Elements from plain values. Text is always a text node, and no attribute takes code, so markup in a name stays text.

export type Child = Node | string | number | null | undefined | false | readonly Child[];
type Listeners = { [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void };
type Value = string | number | boolean | null | undefined;

export interface Attributes {
  on?: Listeners;
  [attribute: string]: Value | Listeners;
}

const FORBIDDEN = /^(on.+|style|srcdoc)$/i;

export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  const { on, ...rest } = attributes;
  for (const [name, value] of Object.entries(rest)) set(element, name, value as Value);
  for (const [name, listener] of Object.entries(on ?? {})) element.addEventListener(name, listener as EventListener);
  element.append(...nodes(children));
  return element;
}

/** Sets an attribute; false, null and undefined remove it. */
export function set(element: Element, name: string, value: Value): void {
  if (FORBIDDEN.test(name)) throw new TypeError(`${name} is not an attribute for values`);
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren(...nodes(children));
}

function nodes(children: readonly Child[]): Node[] {
  return children.flatMap((child): Node[] => {
    if (child === null || child === undefined || child === false) return [];
    if (Array.isArray(child)) return nodes(child as Child[]);
    return [child instanceof Node ? child : document.createTextNode(String(child))];
  });
}

/** A part of the page that shows a value. `stop` ends its subscriptions. */
export interface View<T> {
  readonly node: HTMLElement;
  update(value: T): void;
  stop?(): void;
}

/** The children of an element, one view for each item. Views stay with their key, and so does the focus in them. */
export class Views<T> {
  private readonly views = new Map<string, { view: View<T>; item: T }>();

  constructor(
    private readonly parent: Element,
    private readonly key: (item: T) => string,
    private readonly make: (item: T) => View<T>,
  ) {}

  show(items: readonly T[]): void {
    const keys = new Set(items.map(this.key));
    for (const [key, { view }] of this.views) if (!keys.has(key)) this.drop(key, view);
    const focused = document.activeElement as HTMLElement | null;
    let place = this.parent.firstElementChild;
    for (const item of items) {
      const { node } = this.viewOf(item);
      if (node === place) place = place.nextElementSibling;
      else this.parent.insertBefore(node, place);
    }
    // A node that is moved loses the focus.
    if (focused !== document.activeElement && this.parent.contains(focused)) focused?.focus({ preventScroll: true });
  }

  get(key: string): View<T> | undefined {
    return this.views.get(key)?.view;
  }

  clear(): void {
    for (const [key, { view }] of this.views) this.drop(key, view);
  }

  private viewOf(item: T): View<T> {
    const key = this.key(item);
    const kept = this.views.get(key);
    if (!kept) {
      const view = this.make(item);
      this.views.set(key, { view, item });
      return view;
    }
    if (kept.item !== item) kept.view.update(item);
    kept.item = item;
    return kept.view;
  }

  private drop(key: string, view: View<T>): void {
    this.views.delete(key);
    view.stop?.();
    view.node.remove();
  }
}

/** Functions to call at the end, such as those that end subscriptions. */
export class Ends {
  private readonly functions: (() => void)[] = [];

  add(end: () => void): void {
    this.functions.push(end);
  }

  listen(target: EventTarget, name: string, listener: (event: Event) => void): void {
    target.addEventListener(name, listener);
    this.add(() => target.removeEventListener(name, listener));
  }

  run(): void {
    for (const end of this.functions.splice(0)) end();
  }
}

let lastId = 0;
/** An id for `aria-labelledby` and `for`. */
export const newId = (): string => `e${++lastId}`;
