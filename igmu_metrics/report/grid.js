// Filters and sorts the lines of images.
"use strict";
for (const form of document.querySelectorAll("form.filters")) {
  const list = form.parentElement.querySelector(".lines");
  const lines = [...list.children].map((line, order) => ({
    line,
    order,
    split: line.dataset.split,
    kind: line.dataset.kind,
    verdicts: line.dataset.verdict.split(" "),
    failures: line.dataset.failures.split(",").map(Number),
    text: line.querySelector(".prompt").textContent.toLowerCase(),
  }));
  const PRINTED = 24; // lines that a printed report shows
  const FIRST = 12; // lines that are shown until more are asked for, so that the tables are not far away
  const nothing = document.createElement("p");
  nothing.className = "nothing";
  nothing.textContent = "No images match these filters.";
  nothing.hidden = true;
  const more = document.createElement("button");
  more.type = "button";
  more.className = "more";
  list.after(nothing, more);
  let sortedFor = "";
  let whole = false;

  function apply() {
    const { split, kind, verdict, model, text } = Object.fromEntries(new FormData(form));
    const failsNow = (f) => (model === "" ? f.verdicts.includes("fail") : f.failures[Number(model)] > 0);
    const wanted = (f) =>
      (!split || f.split === split) &&
      (!kind || f.kind === kind) &&
      (!verdict || (verdict === "fail" ? failsNow(f) : f.verdicts.includes(verdict))) &&
      (!text || f.text.includes(text.toLowerCase()));
    if (model !== sortedFor) {
      sortedFor = model;
      const worst = (f) => (model === "" ? 0 : -f.failures[Number(model)]);
      lines.sort((a, b) => worst(a) - worst(b) || a.order - b.order);
      list.append(...lines.map((f) => f.line));
    }
    let shown = 0;
    for (const f of lines) {
      const hide = !wanted(f);
      f.line.hidden = hide;
      if (!hide) shown += 1;
      f.line.toggleAttribute("data-print", !hide && shown <= PRINTED);
      f.line.toggleAttribute("data-folded", !hide && !whole && shown > FIRST);
    }
    more.hidden = whole || shown <= FIRST;
    more.textContent = `Show all ${shown.toLocaleString("en")} prompts and seeds`;
    nothing.hidden = shown > 0;
    form.querySelector("output").value = `${shown.toLocaleString("en")} of ${lines.length.toLocaleString("en")} prompts and seeds`;
    const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 200));
    idle(() => list.querySelectorAll("li[data-print] img[data-image]").forEach(igmu.fill));
  }

  more.addEventListener("click", () => {
    const next = list.querySelector("li[data-folded]");
    whole = true;
    apply();
    next.tabIndex = -1;
    next.focus({ preventScroll: true });
  });
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
