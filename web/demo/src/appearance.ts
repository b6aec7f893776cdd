// Theme and direction of the page. They are settings of this browser; a browser that keeps nothing has the defaults.
export type Theme = "auto" | "light" | "dark";
export type Direction = "auto" | "ltr" | "rtl";

const RTL = /^(ar|dv|fa|he|ku|ps|sd|ug|ur|yi)\b/;

function read<T extends string>(name: string, allowed: readonly T[], other: T): T {
  try {
    const value = localStorage.getItem(`chatd/demo/${name}`) as T;
    return allowed.includes(value) ? value : other;
  } catch {
    return other;
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(`chatd/demo/${name}`, value);
  } catch {
    // Denied or full: the setting lasts as long as the page.
  }
}

export const appearance = {
  theme: read<Theme>("theme", ["auto", "light", "dark"], "auto"),
  direction: read<Direction>("direction", ["auto", "ltr", "rtl"], "auto"),
};

export function setAppearance(fields: Partial<typeof appearance>): void {
  Object.assign(appearance, fields);
  for (const [name, value] of Object.entries(fields)) keep(name, value);
  applyAppearance();
}

export function applyAppearance(): void {
  const { theme, direction } = appearance;
  const root = document.documentElement;
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  root.dir = direction === "auto" ? (RTL.test(navigator.language) ? "rtl" : "ltr") : direction;
}
