// Browsers start no Worker for a page opened from disk, and the site's search is one. There, a hidden frame runs the
// worker's script in its stead, with a window of its own as its global scope: no page has to ask the network for that.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    onmessage = null;
    onerror = null;
    #frame = document.createElement("iframe");
    #loaded;

    constructor(url) {
      super();
      this.#frame.hidden = true;
      this.#frame.title = "Search";
      document.body.append(this.#frame);
      const inner = this.#frame.contentWindow;
      const deliver = (event) => {
        this[`on${event.type}`]?.(event);
        this.dispatchEvent(event);
      };
      inner.postMessage = (data) =>
        setTimeout(() => deliver(new MessageEvent("message", { data: structuredClone(data) })));
      inner.addEventListener("error", ({ message, error }) => deliver(new ErrorEvent("error", { message, error })));
      const script = inner.document.createElement("script");
      script.src = new URL(url, document.baseURI);
      this.#loaded = new Promise((done) => script.addEventListener("load", done));
      script.addEventListener("error", () => deliver(new ErrorEvent("error", { message: `${script.src} is missing` })));
      inner.document.body.append(script);
    }

    postMessage(data) {
      const copy = structuredClone(data);
      this.#loaded.then(() => {
        const inner = this.#frame.contentWindow;
        inner?.dispatchEvent(new inner.MessageEvent("message", { data: copy }));
      });
    }

    terminate() {
      this.#frame.remove();
    }
  };
}
