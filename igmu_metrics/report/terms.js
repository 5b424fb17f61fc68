// Shows what a word or figure means beside it: on hover, on focus, and at a tap. Escape hides it.
"use strict";
{
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  let shown = null;

  function told(term) {
    return term.dataset.told ?? document.getElementById(decodeURIComponent(term.hash.slice(1)))?.textContent ?? "";
  }

  function show(term) {
    if (shown === term) return;
    shown = term;
    tip.textContent = told(term);
    tip.hidden = tip.textContent === "";
    place(term);
  }

  function place(term) {
    const at = term.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const room = document.documentElement.clientWidth - box.width - 8;
    const below = at.bottom + 6 + box.height <= innerHeight;
    tip.style.left = `${Math.max(8, Math.min(at.left, room))}px`;
    tip.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - 6 - box.height)}px`;
  }

  function hide() {
    shown = null;
    tip.hidden = true;
  }

  const termOf = (event) => (event.target instanceof Element ? event.target.closest(".term") : null);
  document.addEventListener("pointerover", (event) => {
    const term = termOf(event);
    if (term) show(term);
    else if (!tip.contains(event.target) && !shown?.matches(":focus")) hide();
  });
  document.addEventListener("focusin", (event) => (termOf(event) ? show(termOf(event)) : hide()));
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", () => shown && place(shown), { passive: true, capture: true });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  document.addEventListener("click", (event) => {
    const term = termOf(event);
    if (!term || event.pointerType !== "touch") return;
    event.preventDefault();
    show(term);
  });
}
