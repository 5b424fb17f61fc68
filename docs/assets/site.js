// What the theme leaves to sighted people with a mouse: icons are announced as images without a name, the bar over a
// code block as navigation, and on a phone neither menu nor search can be reached by keyboard.
const usable = (root) => {
  root.querySelectorAll("svg:not([aria-label], [role])").forEach((icon) => icon.setAttribute("aria-hidden", "true"));
  root.querySelectorAll("nav.md-code__nav").forEach((bar) => bar.setAttribute("role", "none"));
};
usable(document);
new MutationObserver((changes) => changes.forEach(({ target }) => usable(target))).observe(document.body, {
  childList: true,
  subtree: true,
});
for (const [name, label] of [["__drawer", "Menu"], ["__search", "Search"]]) {
  for (const button of document.querySelectorAll(`label.md-header__button[for="${name}"]`)) {
    button.setAttribute("role", "button");
    button.setAttribute("aria-label", label);
    button.tabIndex = 0;
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation(); // the theme would click once more
      button.click();
    });
  }
}
// The list of a section that has a page of its own is labelled by a mere icon.
for (const list of document.querySelectorAll("nav[aria-labelledby]")) {
  if (document.getElementById(list.getAttribute("aria-labelledby"))?.textContent.trim()) continue;
  list.removeAttribute("aria-labelledby");
  list.setAttribute("aria-label", list.closest("li")?.querySelector("a")?.textContent.trim() ?? "Pages");
}
