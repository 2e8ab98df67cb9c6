// A network namespace behind a veth pair: where AF_XDP has an interface of its own.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NEAR = "10.75.0.1";
const FAR = "10.75.0.2";

function ip(words) {
  execFileSync("ip", words.split(" "), { stdio: ["ignore", "ignore", "pipe"] });
}

/**
 * Makes it; needs root. `name`: the interface's, and the namespace's; `host`: its address, for a server;
 * `browser(url)`: options for `launchChromium` that have the browser run at the far end and trust a server
 * without https; `close()`: takes it down.
 */
export function makeVeth(name) {
  const folder = mkdtempSync(join(tmpdir(), "weirgate-veth-"));
  ip(`netns add ${name}`);
  // A queue for each of two shards.
  const queues = "numrxqueues 2 numtxqueues 2";
  ip(`link add ${name} ${queues} type veth peer name far ${queues} netns ${name}`);
  ip(`address add ${NEAR}/24 dev ${name}`);
  ip(`-n ${name} address add ${FAR}/24 dev far`);
  ip(`link set ${name} up`);
  ip(`-n ${name} link set far up`);
  ip(`-n ${name} link set lo up`);
  ip(`-n ${name} route add default via ${NEAR}`);
  const executable = join(folder, "chromium");
  const program = process.env.CHROMIUM ?? "/usr/bin/chromium";
  writeFileSync(executable, `#!/bin/sh\nexec ip netns exec ${name} ${program} "$@"\n`, { mode: 0o700 });
  return {
    name,
    host: NEAR,
    // Cameras are for https and localhost only, unless the browser is told to trust the address.
    browser: (url) => ({ executable, flags: [`--unsafely-treat-insecure-origin-as-secure=${url}`] }),
    close() {
      ip(`netns delete ${name}`);
      rmSync(folder, { recursive: true });
    },
  };
}
