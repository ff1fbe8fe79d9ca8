import t from "tap";
import type { AsidePlace } from "../../src/state/aside-file.ts";
import { AsideSpace } from "../../src/state/aside-space.ts";
import { randomOf, seedOf } from "../spec/crashes.ts";

t.test("no two places overlap, and each is the first that fits", (t) => {
  const random = randomOf(seedOf(t));
  for (let run = 0; run < 40; run++) {
    let space = new AsideSpace();
    let places: AsidePlace[] = [];
    let used = new Uint8Array(4_000);
    for (let step = 0; step < 200; step++) {
      if (random() < 0.55) {
        const length = 1 + Math.floor(random() * 30);
        let at = 0;
        while (used.subarray(at, at + length).some(Boolean)) at++;
        const place = space.take(length);
        if (place.at !== at || place.length !== length) return void t.fail(`${length} bytes at ${place.at}, not at ${at}`);
        used.fill(1, at, at + length);
        places.push(place);
      } else if (places.length > 0) {
        const [place] = places.splice(Math.floor(random() * places.length), 1) as [AsidePlace];
        space.free(place);
        used.fill(0, place.at, place.at + place.length);
      }
      // As after a start, which finds the places in any order.
      if (random() < 0.02) space = new AsideSpace(places.toSorted(() => random() - 0.5));
      const end = used.lastIndexOf(1) + 1;
      if (space.end !== end || space.peak < end) return void t.fail(`ends at ${space.end}, not at ${end}`);
      if (used.length - end < 100) [space, places, used] = [new AsideSpace(), [], new Uint8Array(4_000)];
    }
  }
  t.pass("40 random lives");
  t.end();
});
