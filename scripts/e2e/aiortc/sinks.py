"""What is decoded, counted."""

from array import array
from itertools import pairwise

from av import AudioFrame, VideoFrame

FULL_SCALE = 32_768


class VideoSink:
    """Frames decoded, their size and mean brightness."""

    def __init__(self) -> None:
        self._frames = 0
        self._size = (0, 0)
        self._luma = 0.0

    def take(self, frame: VideoFrame) -> None:
        self._frames += 1
        self._size = (frame.width, frame.height)
        plane = frame.planes[0]
        rows = memoryview(plane)
        starts = range(0, plane.line_size * frame.height, plane.line_size)
        total = sum(sum(rows[at : at + frame.width]) for at in starts)
        self._luma = total / (frame.width * frame.height)

    def report(self) -> dict:
        width, height = self._size
        return {"frames": self._frames, "width": width, "height": height, "luma": round(self._luma, 1)}


class AudioSink:
    """Frames decoded, their energy as browsers sum it up, and the tone by its zero crossings."""

    def __init__(self) -> None:
        self._frames = 0
        self._energy = 0.0
        self._crossings = 0
        self._seconds = 0.0

    def take(self, frame: AudioFrame) -> None:
        self._frames += 1
        channels = len(frame.layout.channels)
        left = array("h", bytes(frame.planes[0])[: frame.samples * channels * 2])[::channels]
        seconds = frame.samples / frame.sample_rate
        mean_square = sum(sample * sample for sample in left) / len(left) / FULL_SCALE**2
        self._energy += mean_square * seconds
        self._crossings += sum((a < 0) != (b < 0) for a, b in pairwise(left))
        self._seconds += seconds

    def report(self) -> dict:
        """The tone is that of the time since the last report."""
        hertz = self._crossings / 2 / self._seconds if self._seconds else 0.0
        self._crossings = 0
        self._seconds = 0.0
        return {"frames": self._frames, "energy": round(self._energy, 6), "hertz": round(hertz)}
