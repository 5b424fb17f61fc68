// Fills in images when they come into sight, and veils those of restricted concepts until they are asked for.
"use strict";
const igmu = (() => {
  const size = 64; // as CHUNK in thumbnails.py
  const most = 64; // chunks of a folder that are kept; an image that was shown keeps its own bytes
  const { folder, key } = document.querySelector("main").dataset;
  const inside = [...document.querySelectorAll("script.images")];
  const chunks = new Map();
  const waiting = new Map();
  const begun = new WeakSet();

  // Called by the scripts of the folder.
  function take(of, at, images) {
    const { done, fail } = waiting.get(at);
    if (of === key) done(images);
    else fail(new Error(`The images in ${folder} belong to another report.`));
  }

  function beside(at) {
    return new Promise((done, fail) => {
      waiting.set(at, { done, fail });
      const script = document.createElement("script");
      script.src = `${encodeURIComponent(folder)}/${String(at).padStart(5, "0")}.js`;
      script.addEventListener("load", () => script.remove());
      script.addEventListener("error", () => fail(new Error(`The images are missing. The folder ${folder} must be next to this page.`)));
      document.head.append(script);
    });
  }

  async function address(number) {
    const at = Math.floor(number / size);
    if (!chunks.has(at)) {
      if (folder !== undefined && chunks.size >= most) chunks.delete(chunks.keys().next().value);
      chunks.set(at, folder === undefined ? JSON.parse(inside[at].textContent) : beside(at));
    }
    return `data:image/webp;base64,${(await chunks.get(at))[number % size]}`;
  }

  function complain(error) {
    if (document.querySelector(".missing")) return;
    const said = document.createElement("p");
    said.className = "missing";
    said.setAttribute("role", "alert");
    said.textContent = error.message;
    document.querySelector("main").prepend(said);
  }

  async function fill(img) {
    if (img.dataset.image === undefined || begun.has(img)) return;
    begun.add(img);
    img.addEventListener("load", () => img.classList.toggle("small-image", img.naturalWidth < 96), { once: true });
    img.decoding = "async";
    try {
      img.src = await address(Number(img.dataset.image));
      delete img.dataset.image;
    } catch (error) {
      complain(error);
    }
  }

  const near = new IntersectionObserver(
    (seen) => {
      for (const { isIntersecting, target } of seen) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        target.querySelectorAll("img[data-image]").forEach(fill);
      }
    },
    { rootMargin: "800px" },
  );

  function veil(img) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "veil";
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `Show the image: ${img.alt || "to be judged"}`);
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    });
    img.replaceWith(button);
    button.append(img);
    return button;
  }

  for (const img of document.querySelectorAll(".restricted .strip img")) veil(img);
  for (const line of document.querySelectorAll(".lines > li")) near.observe(line);
  return { address, complain, fill, take, veil };
})();
