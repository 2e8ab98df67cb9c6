// A camera whose pictures are hard to compress: Chromium's own draws so little that layers hardly differ.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Makes a file of moving, noisy pictures; `flag` makes Chromium show it as its camera, over and over.
 * Ends with `remove()`.
 */
export function makeCamera({ size, fps, seconds = 3 }) {
  const folder = mkdtempSync(join(tmpdir(), "weirgate-camera-"));
  const file = join(folder, "camera.y4m");
  const pictures = `testsrc2=size=${size}:rate=${fps}:duration=${seconds},noise=alls=12:allf=t,format=yuv420p`;
  execFileSync("ffmpeg", ["-loglevel", "error", "-f", "lavfi", "-i", pictures, "-f", "yuv4mpegpipe", file]);
  return {
    flag: `--use-file-for-fake-video-capture=${file}`,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
