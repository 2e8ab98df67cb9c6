// Simulcast to receivers at 3 Mbit/s, 800 and 200 kbit/s: each gets what fits, and follows its link.

import { after, before, describe, it } from "node:test";
import { judged } from "../lib/machine.mjs";
import { farHostMissing } from "../lib/network.mjs";
import { startShapedCall } from "../lib/shaped.mjs";
import { eachGetsWhatFits, followsItsLink, UNLIKE_LINKS } from "../lib/unlike.mjs";

describe("simulcast over unlike links", { skip: farHostMissing() }, () => {
  let call;

  before(async () => {
    call = await startShapedCall({ links: UNLIKE_LINKS, sender: { codec: "vp8", simulcast: "1" } });
  });

  after(() => call?.stop());

  it("each gets the best layers that fit", { timeout: 120_000 }, (t) => judged(t, (tell) => eachGetsWhatFits(call, tell)));

  it("3 M, 500 k, 3 M: down within 2 s, back within 10 s", { timeout: 150_000 }, (t) =>
    judged(t, (tell) => followsItsLink(call, tell)));
});
