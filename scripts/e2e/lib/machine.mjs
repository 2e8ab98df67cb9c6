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
  const before = cpuTimes();
  let failure;
  await body((figures) => t.diagnostic(JSON.stringify(figures))).catch((error) => {
    failure = error;
  });
  const after = cpuTimes();
  const idle = (after.idle - before.idle) / (after.all - before.all);
  t.diagnostic(`${(100 * idle).toFixed(0)} % idle CPU`);
  if (idle < IDLE_MIN) {
    t.skip(`inconclusive: ${(100 * idle).toFixed(0)} % idle CPU${failure ? `; ${failure.message}` : ""}`);
  } else if (failure) {
    throw failure;
  }
}

/** Ticks since the start of the machine. */
function cpuTimes() {
  const fields = readFileSync("/proc/stat", "utf8").split("\n")[0].trim().split(/\s+/).slice(1, 9).map(Number);
  // idle and iowait
  return { idle: fields[3] + fields[4], all: fields.reduce((sum, value) => sum + value, 0) };
}
