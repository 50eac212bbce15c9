/**
 * An error as it is sent to the page. Those of the crate have a kind; one that trapped has ended the program.
 * @param {any} error @returns {{message: string, kind: import("../client.js").ErrorKind}}
 */
export function toMessage(error) {
  const kind = error?.kind ?? (error instanceof WebAssembly.RuntimeError ? "crashed" : "input");
  return { message: error?.message ?? String(error), kind };
}
