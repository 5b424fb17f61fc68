// Fills in pictures when they come into sight, and veils those of restricted concepts until they are asked for.
"use strict";
const igmu = (() => {
  const chunks = [...document.querySelectorAll("script.pictures")];
  const size = 64; // as CHUNK in pictures.py
  const parsed = new Map();

  function address(number) {
    const at = Math.floor(number / size);
    if (!parsed.has(at)) parsed.set(at, JSON.parse(chunks[at].textContent));
    return `data:image/webp;base64,${parsed.get(at)[number % size]}`;
  }

  function fill(img) {
    if (img.dataset.picture === undefined) return;
    img.addEventListener("load", () => img.classList.toggle("small-picture", img.naturalWidth < 96), { once: true });
    img.decoding = "async";
    img.src = address(Number(img.dataset.picture));
    delete img.dataset.picture;
  }

  const near = new IntersectionObserver(
    (seen) => {
      for (const { isIntersecting, target } of seen) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        target.querySelectorAll("img[data-picture]").forEach(fill);
      }
    },
    { rootMargin: "800px" },
  );

  function veil(img) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "veil";
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `Show the picture: ${img.alt || "to be judged"}`);
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    });
    img.replaceWith(button);
    button.append(img);
    return button;
  }

  for (const img of document.querySelectorAll(".restricted .strip img")) veil(img);
  for (const line of document.querySelectorAll(".lines > li")) near.observe(line);
  return { address, fill, veil };
})();
