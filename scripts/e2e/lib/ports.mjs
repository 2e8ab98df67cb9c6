// Free ports of this machine. Another program may take one before it is used; tests start servers at once.

import { createSocket } from "node:dgram";
import { createServer } from "node:net";

export function freeTcpPort(host = "127.0.0.1") {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, host, () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export function freeUdpPort(host = "127.0.0.1") {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.once("error", reject);
    socket.bind(0, host, () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

/** `count` UDP ports in a row, below the range that systems hand out by themselves. */
export function udpPortRange(count) {
  const first = 14_000 + 2 * Math.floor(Math.random() * 8_000);
  return { first, last: first + count - 1 };
}
