// Keys of buttons and links (data-key), and pictures that do not load. The pages work without it.
"use strict";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
  const target = event.target;
  if (target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]")) return;
  if (!/^[a-z]$/.test(event.key)) return;
  const found = document.querySelector(`[data-key="${event.key}"]`);
  if (found) {
    event.preventDefault();
    found.click();
  }
});

// On a narrow screen the navigation scrolls.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// A form is sent once, also when a key is pressed twice.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  if (event.target.dataset.sent) event.preventDefault();
  else event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

for (const image of document.querySelectorAll("img[data-fallback]")) {
  const replace = () => {
    const text = document.createElement("span");
    text.className = "missing";
    text.textContent = image.dataset.fallback;
    image.replaceWith(text);
  };
  // It may have failed before this script ran. A lazy one that is not requested yet is not complete.
  if (image.complete && image.naturalWidth === 0) replace();
  else image.addEventListener("error", replace, { once: true });
}
