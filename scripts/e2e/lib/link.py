#!/usr/bin/env python3
"""A network link in user space: two TUN devices, with delay and loss between them.

For kernels without netem. Every packet is held back for DELAY; UDP packets are also dropped with the
probability LOSS, drawn from a seeded generator. TCP is never dropped, so that only media suffers.
Needs CAP_NET_ADMIN. Prints `ready` once both devices are there, and its counts as JSON when it is
told to end (TERM). The devices go with the process.
"""

import argparse
import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
UDP = 17
PACKET_MAX_BYTES = 65_535
# A link that falls behind drops, as a router would.
QUEUE_MAX_PACKETS = 20_000


def open_tun(name: str) -> int:
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return tun


def is_udp(packet: bytes) -> bool:
    version = packet[0] >> 4
    return (version == 4 and packet[9] == UDP) or (version == 6 and packet[6] == UDP)


class Link:
    def __init__(self, ends: tuple[int, int], delay: float, loss: float, seed: int):
        self.ends = ends
        self.delay = delay
        self.loss = loss
        self.random = random.Random(seed)
        self.queue: list[tuple[float, int, int, bytes]] = []
        self.counts = {"passed": 0, "lost": 0, "overflowed": 0}
        self.order = 0

    def take(self, source: int) -> None:
        """Reads all that waits at one end."""
        target = self.ends[1 - self.ends.index(source)]
        while True:
            try:
                packet = os.read(source, PACKET_MAX_BYTES)
            except BlockingIOError:
                return
            if is_udp(packet) and self.random.random() < self.loss:
                self.counts["lost"] += 1
            elif len(self.queue) >= QUEUE_MAX_PACKETS:
                self.counts["overflowed"] += 1
            else:
                self.order += 1
                heapq.heappush(self.queue, (time.monotonic() + self.delay, self.order, target, packet))

    def give(self) -> None:
        """Writes all that is due."""
        now = time.monotonic()
        while self.queue and self.queue[0][0] <= now:
            _, _, target, packet = heapq.heappop(self.queue)
            try:
                os.write(target, packet)
                self.counts["passed"] += 1
            except OSError:
                # The far end is down, or full.
                self.counts["overflowed"] += 1

    def run(self, ended) -> None:
        while not ended():
            wait = 0.2
            if self.queue:
                wait = max(0.0, min(wait, self.queue[0][0] - time.monotonic()))
            for source in select.select(self.ends, [], [], wait)[0]:
                self.take(source)
            self.give()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs=2, metavar="DEVICE")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="one way")
    parser.add_argument("--loss", type=float, default=0.0, help="0 to 1, each way")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    asked_to_end = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.append(True))
    ends = (open_tun(options.names[0]), open_tun(options.names[1]))
    link = Link(ends, options.delay_ms / 1000, options.loss, options.seed)
    print("ready", flush=True)
    link.run(lambda: bool(asked_to_end))
    print(json.dumps(link.counts), flush=True)


if __name__ == "__main__":
    main()
