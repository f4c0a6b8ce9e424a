/* Keeps all files of this version of the site, so that it works without a network. */

const VERSION = "%%VERSION%%";
const FILES = "%%FILES%%";

const FAMILY = `receptive-field ${self.registration.scope} `;
const NAME = FAMILY + VERSION;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(["./", ...FILES])));
});

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
