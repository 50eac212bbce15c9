import { short } from "./format.js";

const MEGABYTE = 1e6;

/** @param {File} file @param {number} limit Of its bytes, checked before anything is read @returns {Promise<Uint8Array>} */
export async function readFile(file, limit) {
  if (file.size > limit) {
    throw new Error(`${file.name} has ${short(file.size / MEGABYTE)} MB; this page takes at most ${short(limit / MEGABYTE)} MB. Use the program bptt for larger files.`);
  }
  if (file.size === 0) throw new Error(`${file.name} is empty.`);
  return new Uint8Array(await file.arrayBuffer());
}

/** Calls `opened` with what the reader chooses. @param {HTMLInputElement} input @param {(file: File) => void} opened */
export function onFile(input, opened) {
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    input.value = "";
    if (file) opened(file);
  });
}

/** @param {Uint8Array} bytes @param {string} name */
export function decodeText(bytes, name) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${name} is not text in UTF-8. Save it as UTF-8 and open it again.`);
  }
}

/** @param {Uint8Array} bytes @param {string} name */
export function download(bytes, name) {
  const address = URL.createObjectURL(new Blob([/** @type {any} */ (bytes)], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
