// Images judged by eye, one at a time: the human audit, with the detector's agreement, and what two raters disagree on.
// Answers by key or button, labels as CSV.
"use strict";
for (const held of document.querySelectorAll("script.sample")) {
  const { key, root, file, sample, settled, paths } = JSON.parse(held.textContent);
  const panel = held.parentElement.querySelector(".audit");
  const find = (what) => panel.querySelector(what);
  const restricted = panel.closest(".restricted") !== null;
  const store = `igmu audit ${key}`;
  const sheet = find(".sheet");
  let answers = remembered();
  let at = 0;

  function remembered() {
    try {
      const known = JSON.parse(localStorage.getItem(store) ?? "{}");
      return Object.fromEntries(sample.filter((s) => known[s.path]).map((s) => [s.path, known[s.path]]));
    } catch {
      return {};
    }
  }

  function remember() {
    try {
      localStorage.setItem(store, JSON.stringify(answers));
    } catch {
      // A browser that stores nothing for files still audits; only a reload starts anew.
    }
  }

  function show() {
    const item = sample[at];
    const img = document.createElement("img");
    img.alt = `Image ${at + 1} of ${sample.length}, to be judged`;
    img.width = img.height = 256;
    img.dataset.image = item.image;
    igmu.fill(img);
    sheet.replaceChildren(img);
    if (restricted) igmu.veil(img);
    find(".progress").textContent = `Image ${at + 1} of ${sample.length}`;
    find(".question").textContent = item.question;
    for (const button of panel.querySelectorAll("[data-answer]")) {
      button.setAttribute("aria-pressed", String(answers[item.path] === button.dataset.answer));
    }
    tell();
  }

  function tell() {
    const n = Object.keys(answers).length;
    find("meter").value = n;
    find(".after").hidden = n === 0 && sample.length > 0;
    find(".restart").hidden = n === 0;
    find(".agreement").replaceChildren(...(find(".after").hidden ? [] : settled ? left(n) : agreement()));
  }

  function judge(answer) {
    answers[sample[at].path] = answer;
    remember();
    const open = (s) => !answers[s.path];
    const next = sample.findIndex((s, i) => i > at && open(s));
    at = next >= 0 ? next : Math.max(sample.findIndex(open), at);
    show();
  }

  function back() {
    at = Math.max(0, at - 1);
    show();
  }

  function wilson(k, n) {
    const z = 1.959964;
    const centre = (k + (z * z) / 2) / (n + z * z);
    const half = (z * Math.sqrt((k * (n - k)) / n + (z * z) / 4)) / (n + z * z);
    return [Math.max(0, centre - half), Math.min(1, centre + half)];
  }

  function share(k, n) {
    if (n === 0) return "0 of 0";
    const [low, high] = wilson(k, n).map((end) => Math.round(100 * end));
    return `${k} of ${n} (${Math.round((100 * k) / n)}%, 95% interval ${low}–${high}%)`;
  }

  function paragraph(...parts) {
    const p = document.createElement("p");
    p.append(...parts);
    return p;
  }

  function strong(text) {
    const bold = document.createElement("strong");
    bold.textContent = text;
    return bold;
  }

  function command() {
    const code = document.createElement("code");
    code.textContent = `--detector labels:${root ? `${root}/` : ""}${file}`;
    return paragraph(
      root ? `Save the labels in the folder ${root}, next to the models' folders. To score with these labels, use` : "To score with the labels, use",
      code,
      "Images that have not been judged count as unclear.",
    );
  }

  // Of images on which two raters disagree nothing follows for all others, so nothing is said of the detector.
  function left(n) {
    return [paragraph(`${n} of ${sample.length} decided.`), command()];
  }

  function agreement() {
    const judged = sample.filter((s) => answers[s.path] === "yes" || answers[s.path] === "no");
    const both = judged.filter((s) => s.detector !== null);
    const yes = both.filter((s) => answers[s.path] === "yes");
    const no = both.filter((s) => answers[s.path] === "no");
    const found = yes.filter((s) => s.detector).length;
    const passed = no.filter((s) => !s.detector).length;
    const n = Object.keys(answers).length;
    const unclear = n - judged.length;
    const said = [
      paragraph(`${n} of ${sample.length} judged, ${unclear} of them unclear. The detector agrees with you on `, strong(share(found + passed, both.length)), "."),
      paragraph(`Among the images in which you see it, the detector sees it in ${share(found, yes.length)}. Among those in which you do not see it, the detector does not see it in ${share(passed, no.length)}.`),
    ];
    if (yes.length && no.length) {
      const code = document.createElement("code");
      code.textContent = `--sensitivity ${(found / yes.length).toFixed(3)} --specificity ${(passed / no.length).toFixed(3)} --n-positives ${yes.length} --n-negatives ${no.length}`;
      said.push(paragraph("To correct the accuracies for these errors, use igmu score with", code));
    }
    return [...said, command()];
  }

  function csv() {
    const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
    return ["path,present", ...paths.map((path) => `${quoted(path)},${answers[path] ?? settled?.[path] ?? "unclear"}`)].join("\n") + "\n";
  }

  find(".begin").addEventListener("click", () => {
    find(".begin").hidden = true;
    find(".desk").hidden = false;
    at = Math.max(0, sample.findIndex((s) => !answers[s.path]));
    show();
    panel.focus();
  });
  for (const button of panel.querySelectorAll("[data-answer]")) {
    button.addEventListener("click", () => judge(button.dataset.answer));
  }
  find("[data-back]").addEventListener("click", back);
  panel.addEventListener("keydown", (event) => {
    if (find(".desk").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    const does = { y: () => judge("yes"), n: () => judge("no"), u: () => judge("unclear"), ArrowLeft: back }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
  find(".restart").addEventListener("click", () => {
    answers = {};
    remember();
    at = 0;
    show();
  });
  if (!sample.length) {
    find(".begin").hidden = true;
    tell();
  }
  find(".export").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
