/* Runs in the frame of an explorer: what is dropped there is opened by the page. */

addEventListener("dragover", (event) => {
  event.preventDefault();
  parent.postMessage({ dragging: true }, "*");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  const { items, files } = event.dataTransfer;
  const isFolder = [...items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
  parent.postMessage({ dropped: { isFolder, files: [...files] } }, "*");
});
