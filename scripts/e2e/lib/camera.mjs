// A camera as in a call: somebody moves before a still background. Chromium's own draws so little that layers
// hardly differ. Test patterns with noise differ the other way: nothing is like the picture before, so a key picture
// at the coarsest quantizer is still 12 to 25 times as large as the mean, and no camera's is.

import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Amplitude of each octave of a texture, in steps of luma: as much in all of them, as in photographs. */
const CONTRAST = 26;
/** Standard deviation of a webcam's noise, in steps of luma. */
const NOISE = 2;
/** Different pictures of noise. */
const NOISES = 7;

/**
 * Makes a file of moving pictures; `flag` makes Chromium show it as its camera, over and over, without a seam.
 * Ends with `remove()`.
 */
export function makeCamera({ size, fps, seconds = 3 }) {
  const folder = mkdtempSync(join(tmpdir(), "weirgate-camera-"));
  const file = join(folder, "camera.y4m");
  const [width, height] = size.split("x").map(Number);
  const scene = new Scene(width, height);
  const output = openSync(file, "w");
  writeSync(output, `YUV4MPEG2 W${width} H${height} F${fps}:1 Ip A1:1 C420jpeg\n`);
  const count = fps * seconds;
  for (let number = 0; number < count; number += 1) {
    writeSync(output, "FRAME\n");
    for (const plane of scene.picture(number, number / count)) writeSync(output, plane);
  }
  closeSync(output);
  return {
    flag: `--use-file-for-fake-video-capture=${file}`,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

class Scene {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    const random = randomNumbers(1);
    this.background = [0, 1, 2].map((plane) => texture(random, this.#plane(plane), plane === 0 ? 128 : 118));
    this.person = [110, 112, 146].map((mean, plane) => texture(random, this.#plane(plane), mean));
    this.noises = Array.from({ length: NOISES }, () => noise(random, width * height));
  }

  /** The planes of a picture; `phase` of the movement is from 0 to 1. */
  picture(number, phase) {
    return [0, 1, 2].map((plane) => {
      const { width, height } = this.#plane(plane);
      const pixels = Uint8Array.from(this.background[plane]);
      this.#drawPerson(pixels, plane, phase);
      if (plane > 0) return pixels;
      const grain = this.noises[number % NOISES];
      // The same grain elsewhere in each picture.
      const shift = (number * 7919) % (width * height);
      for (let at = 0; at < pixels.length; at += 1) {
        const sum = pixels[at] + grain[(at + shift) % grain.length];
        pixels[at] = Math.max(0, Math.min(255, sum));
      }
      return pixels;
    });
  }

  /** Head and shoulders, which turn and come closer a little as they move: no mere shift of what was there. */
  #drawPerson(pixels, plane, phase) {
    const { width, height } = this.#plane(plane);
    const turn = 2 * Math.PI * phase;
    const angle = 0.06 * Math.sin(turn);
    const scale = 1 + 0.04 * Math.sin(2 * turn + 1);
    const [cos, sin] = [Math.cos(angle) / scale, Math.sin(angle) / scale];
    const [middleX, middleY] = [width * (0.5 + 0.04 * Math.sin(turn)), height * (0.45 + 0.02 * Math.sin(3 * turn))];
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const [fromX, fromY] = [x - middleX, y - middleY];
        const [ownX, ownY] = [cos * fromX + sin * fromY, cos * fromY - sin * fromX];
        const inHead = Math.hypot(ownX / height / 0.27, ownY / height / 0.36) < 1;
        const inBody = Math.hypot(ownX / height / 0.62, (ownY / height - 0.72) / 0.42) < 1;
        if (inHead || inBody) {
          pixels[y * width + x] = between(this.person[plane], width, height, ownX + width / 2, ownY + height * 0.4);
        }
      }
    }
  }

  #plane(plane) {
    const shrunk = plane === 0 ? 1 : 2;
    return { width: this.width / shrunk, height: this.height / shrunk, isColour: plane > 0 };
  }
}

/** Octaves of interpolated noise, from a third of the height down to what a lens shows; colours have the coarse ones only. */
function texture(random, { width, height, isColour }, mean) {
  const values = new Float32Array(width * height).fill(mean);
  const finest = isColour ? height / 48 : 1.5;
  for (let cell = height / 3; cell >= finest; cell /= 2) {
    const [columns, rows] = [Math.ceil(width / cell) + 2, Math.ceil(height / cell) + 2];
    const contrast = isColour ? CONTRAST / 3 : CONTRAST;
    const grid = Float32Array.from({ length: columns * rows }, () => contrast * (random() - 0.5));
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        values[y * width + x] += between(grid, columns, rows, x / cell, y / cell);
      }
    }
  }
  return values.map((value) => Math.max(16, Math.min(235, value)));
}

/** The value of a grid between its points. */
function between(grid, columns, rows, x, y) {
  const left = Math.max(0, Math.min(columns - 2, Math.floor(x)));
  const top = Math.max(0, Math.min(rows - 2, Math.floor(y)));
  const right = Math.max(0, Math.min(1, x - left));
  const down = Math.max(0, Math.min(1, y - top));
  const at = top * columns + left;
  const upper = grid[at] + right * (grid[at + 1] - grid[at]);
  const lower = grid[at + columns] + right * (grid[at + columns + 1] - grid[at + columns]);
  return upper + down * (lower - upper);
}

/** Noise like a sensor's: about normally distributed. */
function noise(random, count) {
  const normal = () => random() + random() + random() + random() - 2;
  return Int8Array.from({ length: count }, () => Math.round(NOISE * Math.sqrt(3) * normal()));
}

/** Numbers from 0 to 1, the same ones for a seed (mulberry32). */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
