/**
 * The browser's words for the GPU, which the crate does not see, and whether it is one in software.
 * @returns {Promise<{name: string, software: boolean}>}
 */
export async function describeAdapter() {
  const gpu = /** @type {any} */ (navigator).gpu;
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  const { vendor = "", architecture = "", description = "", isFallbackAdapter = false } = adapter?.info ?? {};
  const name = description || [vendor, architecture].filter(Boolean).join(" ");
  return { name, software: isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|warp/i.test(name) };
}
