/* Asks a worker, which runs the library, and answers when it does. One question is asked
 * at a time. */

export class Cancelled extends Error {}

export class Analyst {
  constructor() {
    this.waiting = [];
    this.start();
  }

  /** Starts a worker. As a `blob:` URL it inherits the policy of the page, wherever the
   * page is served. */
  start() {
    const address = JSON.stringify(new URL("worker.js", import.meta.url).href);
    const source = new Blob([`import ${address};`], { type: "text/javascript" });
    const url = URL.createObjectURL(source);
    this.worker = new Worker(url, { type: "module" });
    this.ready = new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => {
        if (data.failed) reject(new Error(`The analysis cannot start: ${data.failed} Reload the page; if that does not help, try another browser.`));
        if (data.ready) resolve();
        if (data.ready || data.failed) URL.revokeObjectURL(url);
        if (data.what !== undefined) this.current?.onProgress(data.what, data.share);
        if (data.answer !== undefined) this.settle((question) => question.resolve(JSON.parse(data.answer)));
        if (data.broken !== undefined) this.restart(new Error(data.broken));
      };
      this.worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(`The analysis cannot start: ${event.message || "a file of the page is missing, or this browser has no module workers."} Reload the page; if that does not help, try another browser.`));
      };
    });
    this.ready.catch(() => {});
  }

  /** Returns the answer to a question about a file, and perhaps another one. */
  async ask(file, question, other, onProgress) {
    const answer = new Promise((resolve, reject) => {
      this.waiting.push({ file, question, other, onProgress, resolve, reject });
    });
    if (this.waiting.length === 1) this.next();
    return answer;
  }

  /** Forgets a file that is no longer open. */
  forget(file) {
    this.worker.postMessage({ closed: file.number });
  }

  /** Ends all questions, and the worker with them. */
  cancel() {
    this.restart(new Cancelled());
  }

  get current() {
    return this.waiting[0];
  }

  async next() {
    const { current } = this;
    if (!current) return;
    current.onProgress("starting Python", null);
    try {
      await this.ready;
    } catch (error) {
      if (current === this.current) this.settle(({ reject }) => reject(error));
      return;
    }
    if (current === this.current) {
      const { file, question, other } = current;
      this.worker.postMessage({ file, question: JSON.stringify(question), other });
    }
  }

  settle(end) {
    end(this.waiting.shift());
    this.next();
  }

  restart(error) {
    this.worker.terminate();
    const ended = this.waiting;
    this.waiting = [];
    this.start();
    ended.forEach(({ reject }) => reject(error));
  }
}
