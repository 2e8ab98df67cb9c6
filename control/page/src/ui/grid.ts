import { h } from "./dom.ts";
import { Tile } from "./tile.ts";
import type { TileModel } from "./tiles.ts";

const ASPECT = 16 / 9;
const GAP_PX = 10;

/** All tiles, as large as they can be; a shared screen takes the stage. */
export class Grid {
  readonly tiles = new Map<string, Tile>();
  readonly #stage = h("div", { class: "stage" });
  readonly #faces = h("div", { class: "faces" });
  readonly element = h("section", { class: "grid", "aria-label": "Participants" }, this.#stage, this.#faces);
  readonly #soundBlocked: () => void;
  readonly #resized = new ResizeObserver(() => this.#layout());

  constructor(soundBlocked: () => void) {
    this.#soundBlocked = soundBlocked;
    this.#resized.observe(this.#faces);
  }

  update(models: TileModel[]): void {
    const keys = new Set(models.map((model) => model.key));
    for (const [key, tile] of this.tiles) {
      if (keys.has(key)) continue;
      tile.close();
      this.tiles.delete(key);
    }
    for (const model of models) {
      const tile = this.tiles.get(model.key);
      if (tile) tile.update(model);
      else this.tiles.set(model.key, new Tile(model, this.#soundBlocked));
    }
    for (const model of models) this.#place(model);
    this.element.classList.toggle("with-stage", this.#stage.childElementCount > 0);
    this.#layout();
  }

  close(): void {
    this.#resized.disconnect();
    for (const tile of this.tiles.values()) tile.close();
    this.tiles.clear();
  }

  /** Moving a video element stops it, so a tile that already is where it belongs stays untouched. */
  #place(model: TileModel): void {
    const home = model.screen && !model.own ? this.#stage : this.#faces;
    const element = this.tiles.get(model.key)?.element;
    if (element && element.parentElement !== home) home.append(element);
  }

  #layout(): void {
    const count = this.#faces.childElementCount;
    const { clientWidth, clientHeight } = this.#faces;
    if (count === 0 || clientWidth === 0) return;
    const width = this.element.classList.contains("with-stage")
      ? Math.min(clientWidth, 320)
      : tileWidth(count, clientWidth, clientHeight);
    this.#faces.style.setProperty("--tile-width", `${Math.floor(width)}px`);
  }
}

/** The greatest width at which `count` tiles fit; never so small that faces are lost. */
export function tileWidth(count: number, width: number, height: number): number {
  let best = 0;
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const byWidth = (width - GAP_PX * (columns - 1)) / columns;
    const byHeight = ((height - GAP_PX * (rows - 1)) / rows) * ASPECT;
    best = Math.max(best, Math.min(byWidth, byHeight));
  }
  return Math.max(best, Math.min(width, 150));
}
