// How busy the machine is: what a starved browser shows says nothing about the server.

import { readFileSync } from "node:fs";

/** A test with less idle CPU than this decides nothing. */
const IDLE_MIN = 0.2;

/**
 * Runs `body` and lets it decide only where the machine had time: with less than a fifth of its CPU idle
 * the test is `inconclusive`, neither passed nor failed. `body` gets `tell(figures)`, which shows what
 * was measured in every case.
 */
export async function judged(t, body) {
  const idle = watchIdle();
  let failure;
  await body((figures) => t.diagnostic(JSON.stringify(figures))).catch((error) => {
    failure = error;
  });
  const { isEnough, shown } = idle();
  t.diagnostic(shown);
  if (!isEnough) {
    t.skip(`inconclusive: ${shown}${failure ? `; ${failure.message}` : ""}`);
  } else if (failure) {
    throw failure;
  }
}

/** Watches from now on; what it gives tells how much CPU was idle since, and whether that is enough to decide anything. */
export function watchIdle() {
  const before = cpuTimes();
  return () => {
    const after = cpuTimes();
    const idle = (after.idle - before.idle) / (after.all - before.all);
    return { isEnough: idle >= IDLE_MIN, shown: `${(100 * idle).toFixed(0)} % idle CPU` };
  };
}

/** Ticks since the start of the machine. */
function cpuTimes() {
  const fields = readFileSync("/proc/stat", "utf8").split("\n")[0].trim().split(/\s+/).slice(1, 9).map(Number);
  // idle and iowait
  return { idle: fields[3] + fields[4], all: fields.reduce((sum, value) => sum + value, 0) };
}
