/** The state of the page in its address: `#/ROOM?name=value&…`. */

/** @param {string} hash @returns {{room: string, state: Map<string, string>}} */
export function readAddress(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { room: path, state: new Map(new URLSearchParams(query)) };
}

/** @param {string} room @param {Map<string, string>} state Values that are not the defaults */
export function writeAddress(room, state) {
  const query = new URLSearchParams([...state]).toString();
  return `#/${room}${query ? `?${query}` : ""}`;
}
