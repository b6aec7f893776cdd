// Icons, drawn with one line each. They are decoration: what they mean is in the label of their button.
const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  back: "M15 5l-7 7 7 7",
  chart: "M5 20V10M12 20V4M19 20v-7",
  check: "M5 13l4 4L19 7",
  checks: "M2 13l4 4 8-9M11 16l1.5 1.5L22 8",
  clip: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7l-8.2 8.2a1.6 1.6 0 0 1-2.3-2.3L15 7",
  clock: "M12 7v5l3 2M12 3a9 9 0 1 0 .1 0z",
  close: "M6 6l12 12M18 6L6 18",
  down: "M5 9l7 7 7-7",
  help: "M9 9a3 3 0 1 1 4 2.8c-.7.3-1 .9-1 1.7v.5M12 17.5v.1M12 3a9 9 0 1 0 .1 0z",
  mic: "M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v4",
  more: "M12 5.5v.1M12 12v.1M12 18.5v.1",
  muted: "M4 9v6h4l5 4V5L8 9zM17 9l5 6M22 9l-5 6",
  people:
    "M9 11a3.5 3.5 0 1 0-.1 0zM2 20c0-4 3-6 7-6s7 2 7 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18.5 14.5c2 .8 3.5 2.5 3.5 5.5",
  pin: "M12 16v5M7 4h10l-1.5 6 3 3v2h-13v-2l3-3z",
  plus: "M12 5v14M5 12h14",
  search: "M10.5 4a6.5 6.5 0 1 0 .1 0zM15.5 15.5L21 21",
  send: "M4 12l16-8-5 16-4-7z",
  settings: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
  shuffle: "M3 7h4l10 10h4M3 17h4l3-3M14 10l3-3h4M18 4l3 3-3 3M18 14l3 3-3 3",
  smile: "M8 14c1 1.7 2.3 2.5 4 2.5s3-.8 4-2.5M9 9.5v.1M15 9.5v.1M12 3a9 9 0 1 0 .1 0z",
  star: "M12 4l2.5 5.2 5.7.8-4.1 4 1 5.7L12 17l-5.1 2.7 1-5.7-4.1-4 5.7-.8z",
  stop: "M7 7h10v10H7z",
  warning: "M12 4L2.5 20h19zM12 10v4M12 17v.1",
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
