"use strict";
// j and k go on and back: between the questions of a list, and from one question to the next. Nothing else needs it.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !["j", "k"].includes(event.key)) return;
  const link = document.querySelector(`a[data-key="${event.key}"]`);
  if (link) {
    link.click();
    return;
  }
  const items = [...document.querySelectorAll("[data-keys] a.item")];
  const at = items.indexOf(document.activeElement);
  const to = event.key === "j" ? Math.min(at + 1, items.length - 1) : Math.max(at - 1, 0);
  items[to]?.focus();
});
