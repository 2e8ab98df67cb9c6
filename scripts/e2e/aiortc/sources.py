"""Pictures and sound made by code, each recognisable: a brightness and a tone of one's own."""

import asyncio
import math
import time
from array import array
from fractions import Fraction

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

WIDTH = 160
HEIGHT = 120
BAR_WIDTH = 16
BAR_LUMA = 128
VIDEO_CLOCK_HZ = 90_000

SAMPLES_PER_SECOND = 48_000
SAMPLES_PER_FRAME = 960
AMPLITUDE = 8_000


class Pace:
    """Releases one frame per interval of the wall clock, also where one came late."""

    def __init__(self, frames_per_second: int) -> None:
        self._interval = 1 / frames_per_second
        self._started: float | None = None
        self._count = 0

    async def next(self) -> int:
        """Waits for the next frame's time; gives its number."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
        await asyncio.sleep(self._started + self._count * self._interval - now)
        self._count += 1
        return self._count - 1


class Picture(MediaStreamTrack):
    """A grey of brightness `luma` (0 to 255) with a bar that wanders through it."""

    kind = "video"

    def __init__(self, luma: int, frames_per_second: int) -> None:
        super().__init__()
        self._row = bytes([BAR_LUMA]) * BAR_WIDTH + bytes([luma]) * (WIDTH - BAR_WIDTH)
        self._pace = Pace(frames_per_second)
        self._ticks = VIDEO_CLOCK_HZ // frames_per_second

    async def recv(self) -> VideoFrame:
        number = await self._pace.next()
        if self.readyState != "live":
            raise MediaStreamError
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        luma, *chroma = frame.planes
        start = WIDTH - number * 2 % WIDTH
        row = self._row[start:] + self._row[:start]
        luma.update(row.ljust(luma.line_size, b"\0") * HEIGHT)
        for plane in chroma:
            plane.update(b"\x80" * plane.buffer_size)
        frame.pts = number * self._ticks
        frame.time_base = Fraction(1, VIDEO_CLOCK_HZ)
        return frame


class Tone(MediaStreamTrack):
    """A sine of `hertz`, in frames of 20 ms; a multiple of 50 goes on from frame to frame."""

    kind = "audio"

    def __init__(self, hertz: int) -> None:
        super().__init__()
        radians = 2 * math.pi * hertz / SAMPLES_PER_SECOND
        sines = (int(AMPLITUDE * math.sin(radians * at)) for at in range(SAMPLES_PER_FRAME))
        self._samples = array("h", (sample for sine in sines for sample in (sine, sine))).tobytes()
        self._pace = Pace(SAMPLES_PER_SECOND // SAMPLES_PER_FRAME)

    async def recv(self) -> AudioFrame:
        number = await self._pace.next()
        if self.readyState != "live":
            raise MediaStreamError
        frame = AudioFrame(format="s16", layout="stereo", samples=SAMPLES_PER_FRAME)
        frame.planes[0].update(self._samples)
        frame.pts = number * SAMPLES_PER_FRAME
        frame.sample_rate = SAMPLES_PER_SECOND
        frame.time_base = Fraction(1, SAMPLES_PER_SECOND)
        return frame
