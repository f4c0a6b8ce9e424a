/* Keeps all files of this version of the site, so that it works without a network. */

const VERSION = "%%VERSION%%";
const FILES = "%%FILES%%";

const FAMILY = `receptive-field ${self.registration.scope} `;
const NAME = FAMILY + VERSION;

self.addEventListener("install", (event) => event.waitUntil(keep()));

/** Keeps the files, or tells the pages why they cannot be kept. */
async function keep() {
  try {
    const cache = await caches.open(NAME);
    await cache.addAll(["./", ...FILES]);
  } catch (error) {
    await caches.delete(NAME).catch(() => {});
    const isFull = error.name === "QuotaExceededError";
    const failed = isFull ? "its storage is full." : `${error.message}.`;
    const pages = await self.clients.matchAll({ includeUncontrolled: true });
    pages.forEach((page) => page.postMessage({ failed }));
    throw error;
  }
}

self.addEventListener("activate", (event) => {
  const outdated = (name) => name.startsWith(FAMILY) && name !== NAME;
  const clean = async () => {
    const names = await caches.keys();
    await Promise.all(names.filter(outdated).map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const kept = caches.match(event.request, { cacheName: NAME, ignoreSearch: true });
  event.respondWith(kept.then((found) => found ?? fetch(event.request)));
});
