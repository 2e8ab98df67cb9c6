#!/usr/bin/env python3
"""A participant on aiortc: joins a room, sends, and prints a JSON line a second of what it sends and decodes.

Leaves when its standard input ends, or on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Coroutine

from aiortc import rtcdtlstransport

from participant import Participant
from signaling import Signaling
from sources import Picture, Tone

SRTP_PROFILES = {it.openssl_profile.decode(): it for it in rtcdtlstransport.SRTP_PROFILES}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="where the server's HTTP is, such as http://127.0.0.1:8080")
    parser.add_argument("--room", required=True)
    parser.add_argument("--name", default="aiortc")
    parser.add_argument("--luma", type=int, default=100, help="brightness of the picture, 16 to 235")
    parser.add_argument("--hertz", type=int, default=400, help="tone, a multiple of 50")
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--srtp", choices=SRTP_PROFILES, help="offer this SRTP profile alone")
    parser.add_argument("--verbose", action="store_true", help="aiortc's own log, to standard error")
    return parser.parse_args()


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


async def until_told_to_stop() -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def on_input() -> None:
        if not sys.stdin.buffer.raw.read(4096):
            loop.remove_reader(sys.stdin)
            stop.set()

    loop.add_reader(sys.stdin, on_input)
    await stop.wait()


async def report(participant: Participant) -> None:
    while True:
        await asyncio.sleep(1)
        say("stats", **await participant.report())


async def run(arguments: argparse.Namespace) -> None:
    signaling = Signaling(arguments.url)
    await signaling.connect()
    participant = Participant(signaling, arguments.room, arguments.name)
    try:
        await participant.join()
        say("joined", peerId=participant.peer_id)
        await participant.send([Picture(arguments.luma, arguments.fps), Tone(arguments.hertz)])
        await first_of(until_told_to_stop(), signaling.lost(), participant.receive(), report(participant))
        await signaling.ask("leave")
        say("left")
    finally:
        await participant.close()
        await signaling.close()


async def first_of(*coroutines: Coroutine) -> None:
    """Until one of them ends, or fails."""
    tasks = [asyncio.create_task(it) for it in coroutines]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    for task in done:
        task.result()


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.DEBUG if arguments.verbose else logging.WARNING)
    if arguments.srtp:
        rtcdtlstransport.SRTP_PROFILES = [SRTP_PROFILES[arguments.srtp]]
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
