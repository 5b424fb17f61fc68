async (scheme) => {
  // One page as it is shown: text that is too faint (WCAG 2.2, 1.4.3), what scrolls sideways, order, headings.
  const style = document.createElement("style");
  style.textContent = "*, *::before, *::after { transition: none !important; animation: none !important }";
  document.head.append(style);
  document.body.setAttribute("data-md-color-scheme", scheme);
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await frame();
  await frame();
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const known = {};
  const rgba = (color) => {
    known[color] ??= (() => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    })();
    return known[color];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = (color) => {
    const [r, g, b] = color.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const papers = [];
    for (let e = element; e; e = e.parentElement) {
      papers.push(rgba(getComputedStyle(e).backgroundColor));
      if (papers.at(-1)[3] === 1) break;
    }
    return papers.reduceRight((below, top) => over(top, below), [255, 255, 255]);
  };
  const faint = {};
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const e = text.parentElement;
    if (!text.data.trim() || e.closest("script, style, svg, noscript")) continue;
    if (!e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const s = getComputedStyle(e);
    let opacity = 1;
    for (let up = e; up; up = up.parentElement) opacity *= getComputedStyle(up).opacity;
    const paper = behind(e);
    const [r, g, b, a] = rgba(s.color);
    const [high, low] = [light(over([r, g, b, a * opacity], paper)), light(paper)].sort((x, y) => y - x);
    const size = parseFloat(s.fontSize);
    const large = size >= 24 || (size >= 18.66 && s.fontWeight >= 700);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < (large ? 3 : 4.5)) faint[`${e.tagName}.${e.className}: ${s.color}`] = `${ratio.toFixed(2)}: ${text.data.trim()}`;
  }
  const width = document.documentElement.clientWidth;
  const wide = document.documentElement.scrollWidth > width ? [`page: ${document.documentElement.scrollWidth}`] : [];
  for (const e of document.querySelectorAll(".md-content, .md-content *")) {
    const scrolls = /auto|scroll/.test(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1;
    if (scrolls) wide.push(`${e.tagName}.${e.className}: ${e.scrollWidth} of ${e.clientWidth}`);
  }
  const tabindex = [...document.querySelectorAll("[tabindex]")].filter((e) => e.tabIndex > 0).map((e) => e.outerHTML);
  const levels = [...document.querySelectorAll(".md-content :is(h1, h2, h3, h4, h5, h6)")].map((e) => +e.tagName[1]);
  const skipped = levels.filter((level, i) => level > (levels[i - 1] ?? 0) + 1);
  style.remove();
  return { faint, wide, tabindex, skipped };
}
