// A comparison that goes by lines first: characters are compared only within lines that changed. Left to compare whole
// texts by characters, the merge view takes hundreds of milliseconds for a hundred changes in two thousand lines.
import { Change, diff } from "@codemirror/merge";

// Very different texts make the comparison slow; then it gets coarser instead.
const LIMITS = { scanLimit: 500, timeout: 200 };

/** The lines as numbers, equal lines with equal ones, and where each begins; the text's end closes the list. */
function numbered(text, known) {
  const numbers = [];
  const starts = [];
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("\n", at) + 1 || text.length;
    const line = text.slice(at, end);
    if (!known.has(line)) known.set(line, known.size);
    numbers.push(known.get(line));
    starts.push(at);
    at = end;
  }
  starts.push(text.length);
  return { numbers, starts };
}

/** Pairs of positions of the lines that stand once on each side, in one order on both (patience). */
function anchors(a, fromA, toA, b, fromB, toB) {
  const places = new Map();
  for (let i = fromA; i < toA; i++) places.set(a[i], places.has(a[i]) ? null : { i, j: -1 });
  for (let j = fromB; j < toB; j++) {
    const place = places.get(b[j]);
    if (place) place.j = place.j === -1 ? j : -2;
  }
  const found = [...places.values()].filter((place) => place !== null && place.j >= 0);
  // The longest run that ascends on the other side, too.
  const tails = [];
  for (const place of found) {
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (tails[middle].j < place.j) low = middle + 1;
      else high = middle;
    }
    place.before = low > 0 ? tails[low - 1] : null;
    tails[low] = place;
  }
  const run = [];
  for (let place = tails.at(-1); place; place = place.before) run.push(place);
  return run.reverse();
}

/** What differs, as the merge view takes it. */
export function compareByLines(textA, textB) {
  const known = new Map();
  const { numbers: a, starts: startsA } = numbered(textA, known);
  const { numbers: b, starts: startsB } = numbered(textB, known);
  const until = Date.now() + LIMITS.timeout;
  const changes = [];

  function changed(fromA, toA, fromB, toB) {
    const [beginA, endA, beginB, endB] = [startsA[fromA], startsA[toA], startsB[fromB], startsB[toB]];
    const timeout = until - Date.now();
    if (beginA === endA || beginB === endB || timeout <= 0) return changes.push(new Change(beginA, endA, beginB, endB));
    for (const one of diff(textA.slice(beginA, endA), textB.slice(beginB, endB), { ...LIMITS, timeout })) {
      changes.push(new Change(one.fromA + beginA, one.toA + beginA, one.fromB + beginB, one.toB + beginB));
    }
  }

  // Gaps between anchors, the first on top: a stack, for a text may nest deeper than calls may.
  const left = [[0, a.length, 0, b.length]];
  while (left.length > 0) {
    let [fromA, toA, fromB, toB] = left.pop();
    while (fromA < toA && fromB < toB && a[fromA] === b[fromB]) fromA++, fromB++;
    while (fromA < toA && fromB < toB && a[toA - 1] === b[toB - 1]) toA--, toB--;
    if (fromA === toA && fromB === toB) continue;
    const found = fromA < toA && fromB < toB ? anchors(a, fromA, toA, b, fromB, toB) : [];
    if (found.length === 0) {
      changed(fromA, toA, fromB, toB);
      continue;
    }
    const gaps = [];
    for (const { i, j } of found) {
      gaps.push([fromA, i, fromB, j]);
      fromA = i + 1;
      fromB = j + 1;
    }
    gaps.push([fromA, toA, fromB, toB]);
    left.push(...gaps.reverse());
  }
  return changes;
}
