import { describe, expect, it } from "vitest";
import { readParams, roomLink } from "../src/params.ts";
import { tileWidth } from "../src/ui/grid.ts";

describe("readParams", () => {
  it("has defaults that need nothing", () => {
    expect(readParams("")).toMatchObject({ room: "", autojoin: false, width: 1280, height: 720, audio: true, video: true, simulcast: false });
  });

  it("reads what is given", () => {
    const query = "?room=r%201&name=Ada&autojoin=1&video=320x180&fps=10&codec=VP9&audio=0&simulcast=1&scalability=L3T3_KEY";
    expect(readParams(query)).toMatchObject({
      room: "r 1", name: "Ada", autojoin: true, width: 320, height: 180, fps: 10, codec: "vp9", audio: false, simulcast: true,
      scalability: "L3T3_KEY",
    });
  });

  it("takes nonsense as not given", () => {
    expect(readParams("?video=big&fps=1000&codec=mpeg2")).toMatchObject({ width: 1280, height: 720, fps: 30, codec: undefined });
  });
});

describe("roomLink", () => {
  it("shares the room and nothing else", () => {
    expect(roomLink("a & b", "https://host/call/?name=Me&token=secret#x")).toBe("https://host/call/?room=a+%26+b");
  });
});

describe("tileWidth", () => {
  it("fits every tile into the area", () => {
    for (const count of [1, 2, 3, 5, 9, 16]) {
      const width = tileWidth(count, 1600, 900);
      const columns = Math.floor((1600 + 10) / (width + 10));
      expect(Math.ceil(count / columns) * (width * 9) / 16).toBeLessThanOrEqual(900);
    }
  });
});
