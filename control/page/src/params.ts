// The query parameters of the page; README.md beside package.json documents them.

export const CODECS = ["vp8", "vp9", "h264", "av1"] as const;
export type Codec = (typeof CODECS)[number];

export interface Params {
  room: string;
  name: string;
  autojoin: boolean;
  /** Join token (JWT) for servers that ask for one. */
  token?: string;
  width: number;
  height: number;
  fps: number;
  codec?: Codec;
  audio: boolean;
  video: boolean;
  simulcast: boolean;
  /** Scalability mode of the camera, such as `L3T3_KEY`. */
  scalability?: string;
  stats: boolean;
}

/** Reads the parameters; values that make no sense are taken as not given. */
export function readParams(query: string): Params {
  const given = new URLSearchParams(query);
  const on = (key: string, fallback: boolean) => {
    const value = given.get(key);
    return value === null ? fallback : value !== "0" && value !== "false";
  };
  const size = /^(\d{2,4})x(\d{2,4})$/.exec(given.get("video") ?? "");
  const codec = given.get("codec")?.toLowerCase() as Codec | undefined;
  const fps = Number(given.get("fps"));
  return {
    room: (given.get("room") ?? "").trim(),
    name: (given.get("name") ?? "").trim(),
    autojoin: on("autojoin", false),
    token: given.get("token") ?? undefined,
    width: size ? Number(size[1]) : 1280,
    height: size ? Number(size[2]) : 720,
    fps: fps >= 1 && fps <= 60 ? fps : 30,
    codec: codec && CODECS.includes(codec) ? codec : undefined,
    audio: on("audio", true),
    video: given.get("video") !== "0",
    simulcast: on("simulcast", false),
    scalability: /^[LS]\d(T\d)(h?)(_KEY)?(_SHIFT)?$/.exec(given.get("scalability") ?? "")?.[0],
    stats: on("stats", false),
  };
}

/** The address to share: this page with nothing but the room. */
export function roomLink(room: string, base: string = location.href): string {
  const url = new URL(base);
  url.search = new URLSearchParams({ room }).toString();
  url.hash = "";
  return url.toString();
}
