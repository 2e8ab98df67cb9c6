// The screen of the call: participants, controls, messages, figures.

import type { Capture } from "../capture.ts";
import { roomLink } from "../params.ts";
import { recall } from "../remembered.ts";
import type { Session } from "../session/session.ts";
import { describe, StatsReader } from "../stats.ts";
import { Banner } from "./banner.ts";
import { Controls } from "./controls.ts";
import { DevicePicker } from "./devices.ts";
import { h } from "./dom.ts";
import { Grid } from "./grid.ts";
import { icon } from "./icons.ts";
import { tileModels } from "./tiles.ts";

const STATS_INTERVAL_MS = 1_000;
const NOTICE_MS = 8_000;

export class CallScreen {
  readonly element: HTMLElement;
  readonly banner = new Banner();
  readonly #session: Session;
  readonly #capture: Capture;
  readonly #grid: Grid;
  readonly #controls: Controls;
  readonly #picker: DevicePicker;
  readonly #dialog: HTMLDialogElement;
  readonly #state = h("span", { class: "state" });
  readonly #count = h("span", { class: "count" });
  readonly #alone: HTMLElement;
  readonly #stats: StatsReader;
  readonly #takenOff: (() => void)[];
  #statsTimer: ReturnType<typeof setInterval> | undefined;
  #updateAsked = false;

  constructor(session: Session, capture: Capture, options: { stats: boolean }) {
    this.#session = session;
    this.#capture = capture;
    this.#stats = new StatsReader(session);
    this.#grid = new Grid(() => this.#soundBlocked());
    this.#picker = new DevicePicker(capture, (id) => this.#setSpeaker(id));
    this.#dialog = this.#devicesDialog();
    this.#controls = new Controls(capture, {
      stats: () => this.#showStats(!this.#controls.statsShown),
      devices: () => this.#openDevices(),
      leave: () => void session.leave(),
    });
    const link = roomLink(session.options.roomId);
    this.#alone = h("p", { class: "alone" }, "Nobody else is here yet. Share this address: ", h("a", { href: link }, link));
    this.element = this.#layout();
    this.#takenOff = [
      session.on("change", () => this.#ask()),
      session.on("trouble", ({ message }) => this.#tell("trouble", message)),
      capture.on("change", () => this.#ask()),
      capture.on("trouble", ({ source, message }) => this.#tell(source, message)),
    ];
    document.addEventListener("keydown", this.#controls.key);
    if (options.stats) this.#showStats(true);
    this.#update();
  }

  close(): void {
    clearInterval(this.#statsTimer);
    document.removeEventListener("keydown", this.#controls.key);
    for (const takeOff of this.#takenOff) takeOff();
    this.#grid.close();
    this.element.remove();
  }

  #layout(): HTMLElement {
    const copy = h("button", { type: "button", class: "small", onclick: () => void this.#copyLink() });
    copy.append(icon("link"), h("span", {}, "Copy link"));
    return h(
      "main",
      { class: "call" },
      h(
        "header",
        {},
        h("h1", { title: this.#session.options.roomId }, this.#session.options.roomId),
        this.#count,
        this.#state,
        copy,
      ),
      this.banner.element,
      this.#grid.element,
      this.#alone,
      this.#controls.element,
      this.#dialog,
    );
  }

  #devicesDialog(): HTMLDialogElement {
    const dialog = h("dialog", { "aria-label": "Devices" });
    dialog.append(
      h("h2", {}, "Devices"),
      this.#picker.element,
      h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Done"),
    );
    return dialog;
  }

  /** Many changes come at once: one update serves them all. */
  #ask(): void {
    if (this.#updateAsked) return;
    this.#updateAsked = true;
    queueMicrotask(() => {
      this.#updateAsked = false;
      this.#update();
    });
  }

  #update(): void {
    const { status, roster, connections } = this.#session;
    this.#grid.update(tileModels(this.#session, this.#capture));
    this.#controls.update();
    const people = roster.peers.size + 1;
    this.#count.textContent = people === 1 ? "1 person" : `${people} people`;
    this.#alone.hidden = roster.peers.size > 0 || status !== "joined";
    const shaky = connections.some((it) => it.ailing);
    this.#state.textContent = { idle: "", connecting: "connecting…", joined: "", away: "reconnecting…", ended: "" }[status];
    this.#tellStatus(shaky);
  }

  #tellStatus(shaky: boolean): void {
    const { status, reason } = this.#session;
    const retry = { label: "Retry now", run: () => this.#session.retry() };
    if (status === "away") {
      const text = "The connection to the server is lost. The call goes on; reconnecting…";
      this.banner.show({ key: "server", kind: "warning", text, action: retry });
    } else if (status === "connecting" && reason) {
      const text = "The server cannot be reached. Trying again…";
      this.banner.show({ key: "server", kind: "error", text, action: retry });
    } else {
      this.banner.hide("server");
    }
    if (shaky && status === "joined") {
      this.banner.show({ key: "media", kind: "warning", text: "The media connection broke. Repairing it…" });
    } else {
      this.banner.hide("media");
    }
  }

  #tell(key: string, text: string): void {
    this.banner.show({ key, kind: "warning", text, duration: NOTICE_MS });
  }

  #soundBlocked(): void {
    const run = () => {
      this.banner.hide("sound");
      for (const tile of this.#grid.tiles.values()) tile.playSound();
    };
    const text = "The browser holds the sound back until you click.";
    this.banner.show({ key: "sound", kind: "info", text, action: { label: "Turn sound on", run } });
  }

  #showStats(shown: boolean): void {
    this.#controls.statsShown = shown;
    this.#controls.update();
    clearInterval(this.#statsTimer);
    if (shown) {
      this.#statsTimer = setInterval(() => void this.#readStats(), STATS_INTERVAL_MS);
      void this.#readStats();
    } else {
      for (const tile of this.#grid.tiles.values()) tile.showFigures(null);
    }
  }

  async #readStats(): Promise<void> {
    const figures = await this.#stats.read();
    if (!this.#controls.statsShown) return;
    const of = (producerId: string | undefined) => figures.find((it) => it.producerId === producerId);
    for (const tile of this.#grid.tiles.values()) {
      const { videoProducerId, audioProducerId } = tile.model;
      tile.showFigures(describe(videoProducerId ? of(videoProducerId) : undefined, audioProducerId ? of(audioProducerId) : undefined));
    }
  }

  #openDevices(): void {
    void this.#picker.refresh();
    this.#dialog.showModal();
  }

  #setSpeaker(id: string = recall("speaker")): void {
    for (const tile of this.#grid.tiles.values()) void tile.setSpeaker(id).catch(() => undefined);
  }

  async #copyLink(): Promise<void> {
    const link = roomLink(this.#session.options.roomId);
    try {
      await navigator.clipboard.writeText(link);
      this.banner.show({ key: "link", kind: "info", text: "The link to this room is copied.", duration: 3_000 });
    } catch {
      this.banner.show({ key: "link", kind: "info", text: link, duration: 20_000 });
    }
  }
}
