// Replays calls of the timeline: reads lists of [method, arguments] from standard input, one timeline for each, and
// prints what each call returned, and the position at the end. tests/web/test_timeline.py compares that with Python.
import { readFileSync } from "node:fs";
import { load } from "./load.mjs";

const { Timeline } = await load("timeline");
const map = (known) => new Map(known.map(([seq, rev]) => [seq, rev]));

const found = JSON.parse(readFileSync(0, "utf8")).map(({ position, calls }) => {
  const timeline = new Timeline(position ?? undefined);
  timeline.user = "me";
  const results = calls.map(([method, ...given]) => {
    if (method === "takeChanges") given[2] = map(given[2]);
    return timeline[method](...given) ?? null;
  });
  const behind = [...timeline.behind].sort();
  return { results, position: timeline.position, behind, ownBehind: timeline.ownBehind, known: timeline.knownAs("c") };
});
console.log(JSON.stringify(found));
