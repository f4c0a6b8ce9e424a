// Search runs in a Worker, which a page that is opened from a folder may not start.
// There, a hidden frame runs the script of the worker. (The name of this file tells the
// plugin "offline" that it need not load such a script from elsewhere.)
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.ready = new Promise((resolve) => {
        frame.addEventListener("load", () => {
          const inside = frame.contentWindow;
          const script = inside.document.createElement("script");
          inside.postMessage = (data) =>
            this.dispatchEvent(new MessageEvent("message", { data }));
          script.addEventListener("load", () => resolve(inside));
          script.src = url;
          inside.document.head.append(script);
        }, { once: true });
      });
      document.body.append(frame);
    }

    async postMessage(data) {
      const inside = await this.ready;
      inside.dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
