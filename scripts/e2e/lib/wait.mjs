// Waiting for things that take their time.

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Calls `probe` until it answers something truthy, and gives that. After `timeout` ms it throws what
 * was waited for, and the last answer or error of the probe.
 */
export async function until(what, probe, { timeout = 10_000, interval = 100 } = {}) {
  const end = performance.now() + timeout;
  let last;
  for (;;) {
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      const shown = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`waited ${timeout} ms for ${what}; last seen: ${shown}`);
    }
    await sleep(interval);
  }
}
