// The review page as a walk: the next candidates are fetched while one is read and painted the moment it is decided; the
// outbox sends the decision. Without this file, or where the browser keeps nothing, the forms do the same by htmx or plain.
"use strict";

const N_AHEAD = 3;
const ORDER_MS = 5000;
const MOST_KEPT = 10;
const MOST_PAST = 500;
const PAUSE_MS = 600_000;
const AGAIN_MS = 2000;
const DONE = { accept: "Accepted", reject: "Rejected", skip: "Skipped", flag: "Flagged" };

// What follows the candidate on the screen, as [id, version]; fragments of the first of them; what was decided here.
let order = [];
let orderedAt = -Infinity;
let isFilling = false;
// The newest version of the guideline that was heard of.
let guideline = 0;
const fetched = new Map();
const decided = new Map();
let onScreen = null;

const stored = (name) => {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? [];
  } catch {
    return [];
  }
};
const store = (name, value) => {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Undo asks the server then.
  }
};
// What this tab did and can take back, and what it took back and can do again.
let past = stored("past");
let undone = stored("undone");

function remember() {
  past = past.slice(-MOST_PAST);
  store("past", past);
  store("undone", undone);
}

// ---------------------------------------------------------------- fetching ahead

const queryHere = () => one("#candidate")?.dataset.query ?? "";
const withQuery = (path, query, name, value) => `${path}${query}${query ? "&" : "?"}${name}=${value}`;

async function fetchPart(address) {
  const response = await fetch(address, { headers: { "HX-Request": "true", "HX-Request-Type": "partial" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const node = page.querySelector("#candidate");
  if (!response.ok || !node) throw new Error(`${response.status}`);
  const at = new URL(response.url);
  for (const name of ["last", "end"]) at.searchParams.delete(name);
  return { node: document.adoptNode(node), address: at.pathname + at.search };
}

function forget(id) {
  fetched.delete(id);
}

/** What follows; where several people review, what is this page's alone (lease.js). */
async function askOrder(id, query) {
  if (typeof visit === "function" && one("#lease")) return visit();
  const unsure = listUnsure();
  const response = await fetch(withQuery("/queue/ahead", query, "after", id));
  if (!response.ok) throw new Error(`${response.status}`);
  return { ...(await response.json()), unsure };
}

async function readOrder(id, query) {
  const isQuiet = () => listWaiting().length === 0;
  const [wasQuiet, n] = [isQuiet(), sitting.n];
  const found = await askOrder(id, query);
  if (!found || onScreen?.id !== id) return;
  orderedAt = performance.now();
  // Also what was on its way when the server was asked: its answer may be older than what became of that.
  const gone = new Set([...found.unsure, ...listUnsure()]);
  order = found.ahead.filter(([one]) => !gone.has(one));
  const isNew = sitting.query !== query || sitting.total === null;
  // What was on its way meanwhile is in this count or is not: then what was counted here is right.
  if (isNew || (wasQuiet && isQuiet() && sitting.n === n)) {
    sitting.left = found.left - (isFound(query) ? 0 : listWaiting().filter((act) => act.verdict !== "undo").length);
    sitting.isCapped = found.capped;
  }
  if (isNew) beginPlace(query);
  store("sitting", sitting);
  again?.showPace();
  if (found.guideline > guideline) guideline = found.guideline;
  // Not `later`: nobody asked for it, so no key waits for it.
  if (guidelineOf(one("#candidate")) < guideline) loadAgain().then(() => again.renewGuide(id, query)).catch(() => {});
}

const guidelineOf = (node) => Number(node.dataset.guideline);

/** Brings the next candidates here, and again where one was changed by somebody since. */
async function fillAhead() {
  if (isFilling || !onScreen) return;
  isFilling = true;
  try {
    const { id, query } = onScreen;
    if (order.length <= N_AHEAD || performance.now() - orderedAt > ORDER_MS) await readOrder(id, query);
    for (const [next, version] of order.slice(0, N_AHEAD)) {
      if (onScreen?.id !== id) break;
      const here = fetched.get(next);
      if (here?.version === version && guidelineOf(here.node) >= guideline) continue;
      const { node } = await fetchPart(`/candidates/${next}${query}`);
      if (node.dataset.id === String(next)) fetched.set(next, { version: Number(node.dataset.version), node });
      else order = order.filter(([one]) => one !== next);
    }
    const wanted = new Set(order.slice(0, N_AHEAD + 1).map(([one]) => one));
    for (const one of fetched.keys()) if (!wanted.has(one)) forget(one);
  } catch {
    // The server is away: what is here already can still be decided on.
    isCut = true;
    orderedAt = -Infinity;
  } finally {
    isFilling = false;
    const isBehind = onScreen && order.slice(0, N_AHEAD).some(([one]) => !fetched.has(one));
    if (isBehind && nFailed === 0) setTimeout(fillSoon, AGAIN_MS / 10);
  }
}

const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 50));
const fillSoon = () => idle(fillAhead, { timeout: 500 });

// ---------------------------------------------------------------- painting

/** Puts a candidate on the screen: no request, no parsing; what can wait for the paint waits. */
function paint(node, address, said = "", hint = "") {
  noteOpen();
  one("#notice").replaceChildren();
  one("#candidate").replaceWith(node);
  if (!history.state?.htmx) history.replaceState({ htmx: true }, "", location.href);
  if (address !== location.pathname + location.search) history.pushState({ htmx: true }, "", address);
  showToast(said, hint);
  const isOpening = Object.values(isOpen).some(Boolean);
  if (isOpening) htmx.process(node);
  settle(node, hint);
  if (!isOpening) afterPaint(() => htmx.process(node));
}

const afterPaint = (run) => requestAnimationFrame(() => setTimeout(run));

function showToast(said, hint = "") {
  const toast = one("#candidate .toast");
  if (!toast) return;
  toast.hidden = !said;
  toast.textContent = said;
  showHint(hint);
}

function showHint(hint) {
  const line = one("#candidate .hint");
  if (!line) return;
  line.hidden = !hint;
  line.textContent = hint;
}

// ---------------------------------------------------------------- what was seen, and for how long

let clock = { since: 0, spent: 0 };
let seen = new Set();
const sight = new IntersectionObserver(
  (entries) => {
    if (document.hidden) return;
    for (const { isIntersecting, target } of entries) {
      // A fold says exactly what it repeats, so whoever saw it has seen what is in it.
      if (isIntersecting) for (const hunk of target.dataset.hunk ? [target] : all("[data-hunk]", target)) seen.add(hunk.id);
    }
  },
  // The bar with the verdicts covers what lies below it.
  { rootMargin: "0px 0px -70px 0px" },
);

function spentMs() {
  return Math.round(clock.spent + (document.hidden ? 0 : performance.now() - clock.since));
}

function watchHunks() {
  for (const hunk of all("#diff [data-hunk], #diff details.rp")) sight.observe(hunk);
}

/** Of a diff that is not all here nobody knows how many changes it has: then nothing is said of them. */
function measured() {
  const n_hunks = one("#diff .lz") ? 0 : all("#diff [data-hunk]").length;
  const n_seen = Math.min(seen.size, n_hunks);
  return { n_seen: n_hunks ? n_seen : null, n_hunks: n_hunks || null, spent_ms: spentMs() };
}

// The editor goes on from what was seen and spent here.
window.addEventListener("pagehide", () => onScreen && store("looked", { id: onScreen.id, ...measured() }));

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clock.spent += performance.now() - clock.since;
  else {
    clock.since = performance.now();
    orderedAt = -Infinity;
    fillSoon();
  }
});

// ---------------------------------------------------------------- place, pace

// A sitting ends when nothing was decided for ten minutes.
let sitting = {
  n: 0, from: 0, to: 0, left: null, isCapped: false, query: "", before: 0, total: null, ...Object.fromEntries(Object.entries(stored("sitting"))),
};

// With a status in the filter what is decided stays found.
const isFound = (query) => /status(=|%3A)|view%3A/i.test(query);

/** The place counts from here on: what this filter finds now is the whole of it. */
function beginPlace(query) {
  Object.assign(sitting, { query, before: sitting.n, total: sitting.left });
}

function count(by) {
  const now = Date.now();
  if (now - sitting.to > PAUSE_MS) {
    Object.assign(sitting, { n: 0, from: now - spentMs() });
    beginPlace(queryHere());
  }
  sitting.to = now;
  sitting.n = Math.max(0, sitting.n + by);
  if (sitting.left !== null && !isFound(queryHere())) sitting.left = Math.max(0, sitting.left - by);
  store("sitting", sitting);
}

// ---------------------------------------------------------------- deciding

function takeVerdict(form, verdict) {
  const why = beside?.keepsBack(verdict);
  if (why) {
    notify(why);
    return true;
  }
  const { id, query } = onScreen;
  const earlier = findDecided(id) ?? (decided.get(id) === one("#candidate") ? past.findLast((act) => act.id === id) : undefined);
  if (earlier) {
    notify(`${saidOf(earlier)} already; ${keyOf("undo")} takes that back.`);
    return true;
  }
  const fields = new FormData(form);
  const reasons = fields.getAll("reasons");
  if (reasons.length > 0 && verdict !== "reject" && verdict !== "flag") {
    notify(`Reasons say why a patch is rejected or flagged; this is ${verdict}. Take the marks off, or reject it.`);
    return true;
  }
  const until = verdict === "reject" && reasons.length === 0 ? Date.now() + REASON_MS : 0;
  const act = {
    key: token(), id, version: Number(fields.get("version")), verdict, reasons, until, query,
    comment: fields.get("comment"), rating: Number(fields.get("rating")) || null,
    guideline: Number(fields.get("guideline")) || null, ...measured(),
  };
  for (const earlier of listRefused()) if (earlier.id === id) dropAct(earlier);
  undone = [];
  if (again || hasRemarks(id)) afterPaint(() => warm().then(() => again?.dropRemarks(id)));
  return carryOut(act);
}

/** Gives an act to the outbox and goes on; false where nothing can be kept. */
function carryOut(act) {
  const kept = keepAct(act);
  if (!kept) return false;
  past.push(kept);
  remember();
  if (!again) afterPaint(warm);
  count(1);
  if (onScreen?.id === act.id) {
    keepDecided(act.id);
    goOn(kept);
  } else showToast(saidOf(kept));
  return true;
}

function keepDecided(id) {
  decided.delete(id);
  decided.set(id, one("#candidate"));
  if (decided.size > MOST_KEPT) decided.delete(decided.keys().next().value);
}

const saidOf = (act) => `${DONE[act.verdict]} #${act.id}${isOut ? ", not stored yet" : ""}`;

function hintOf(act) {
  if (act.until > Date.now() && rowOf("action", "reason").dataset.press) return "1-9 says why";
  const n = act.n_hunks - act.n_seen;
  const isBlind = ["accept", "edit"].includes(act.verdict) && act.n_hunks > 0 && n > 0;
  return isBlind ? `${n} of ${act.n_hunks} changes unseen: ${keyOf("undo")} goes back` : "";
}

function goOn(act) {
  order = order.filter(([id]) => id !== act.id);
  const next = order[0] && fetched.get(order[0][0]);
  if (!next) {
    later("arrive", withQuery(`/candidates/${act.id}/next`, act.query, "last", act.id), saidOf(act), hintOf(act), act);
    return;
  }
  const [id] = order.shift();
  forget(id);
  paint(next.node, `/candidates/${id}${act.query}`, saidOf(act), hintOf(act));
  if (act.until > Date.now()) setTimeout(() => again?.closeReason(), REASON_MS);
}

// ---------------------------------------------------------------- a candidate is on the screen

function arrived() {
  const node = one("#candidate[data-id]");
  seen = new Set();
  sight.disconnect();
  clock = { since: performance.now(), spent: 0 };
  if (!node) {
    onScreen = null;
    return;
  }
  const id = Number(node.dataset.id);
  onScreen = { id, query: node.dataset.query };
  const at = order.findIndex(([one]) => one === id);
  if (at >= 0) order = order.slice(at + 1);
  const back = listRefused().find((act) => act.id === id);
  if (back) later("restore", back);
  afterPaint(() => {
    showOutbox();
    showRefused();
    watchHunks();
    beside?.showGuide();
    again?.showPace();
    if (hasRemarks(id)) warm().then(() => again?.takeUpRemarks(id));
    fillSoon();
  });
}

// A comment or a rating is kept as it is typed, here and on the server; what was kept here alone comes back.
const REMARKS = `remarks/${document.body.dataset.desk}/`;

function isRemark(field) {
  return onScreen !== null && field.matches("#comment, #given") && field.isConnected;
}

for (const [kind, isDone] of [["input", false], ["change", true]]) {
  document.addEventListener(kind, ({ target }) => {
    if (isRemark(target)) warm().then(() => isRemark(target) && again?.keepRemarks(onScreen.id, isDone));
  });
}

function hasRemarks(id) {
  try {
    return localStorage.getItem(`${REMARKS}${id}`) !== null;
  } catch {
    return false;
  }
}

/** A file that comes with its first use. All who wait for it go on in their order, which two imports would not promise. */
function lazily(find, keep) {
  let coming = null;
  return async () => {
    try {
      return await (coming ??= import(find()).then(keep));
    } catch (error) {
      coming = null;
      throw error;
    }
  };
}

// What only matters after the first decision is in a file of its own.
let again = null;
const loadAgain = lazily(() => one("#away").dataset.again, (file) => (again = file));
const warm = () => loadAgain().then(() => again.showPace()).catch(() => {});

async function later(name, ...given) {
  inFlight += 1;
  try {
    await loadAgain();
  } catch {
    if (!one("#notice .bad")) notifyAway();
    // What was decided stays on the screen, and takes no second decision, until the way on is known.
    return name === "arrive" ? void setTimeout(later, AGAIN_MS, name, ...given) : undefined;
  } finally {
    inFlight -= 1;
  }
  return again[name](...given);
}

// ---------------------------------------------------------------- what stands beside the diff

// The guideline and comments on lines, in a file of its own that comes with its first use.
let beside = null;
const loadBeside = lazily(() => one("#guide").dataset.script, (file) => (beside = file));
const withBeside = (name, ...given) =>
  void loadBeside().then(() => beside[name](...given)).catch(() => notify("The server cannot be reached."));

// ---------------------------------------------------------------- what keys show

Object.assign(actions, {
  redo: () => later("doAgain"),
  reason: (digit) => again?.giveReason(digit) ?? false,
  "next-file": () => step("#diff .fh", 1),
  "previous-file": () => step("#diff .fh", -1),
  ...Object.fromEntries(["issue", "trace", "repeats", "rest", "comment", "comments", "next-line", "previous-line", "next-comment", "previous-comment"].map((name) => [name, () => withBeside("press", name)])),
  wrap: () => later("turnWrap"),
});
document.addEventListener("candidate", arrived);
// Another view of the diff, or another page in between: what was fetched shows the old one.
document.addEventListener("htmx:after:swap", (event) => {
  const target = event.detail.ctx?.target;
  if (target?.closest?.("#diff")) watchHunks();
  if (target?.id === "diff" || target === document.body) {
    fetched.clear();
    watchHunks();
    fillSoon();
  }
});
// What others than this file decided is taken back by the server, which knows what was last.
document.addEventListener("htmx:after:request", (event) => {
  const { request: sent } = event.detail.ctx ?? {};
  if (!sent || sent.method === "GET" || isAside(event)) return;
  past = [];
  undone = [];
  remember();
});

document.addEventListener("submit", (event) => {
  if (event.target.id === "decide" && event.submitter?.name === "verdict" && onScreen) {
    if (!takeVerdict(event.target, event.submitter.value)) return;
  } else if (event.target.id === "undo") later("takeBack");
  else if (event.target.matches("form[data-comments]")) withBeside("send", event.target, event.submitter);
  else if (event.target.id === "guide-toggle") withBeside("turnGuide", event.submitter.value === "yes");
  else return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

// On without deciding, where the next one is here already.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-walk]");
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  const next = isPlain && link && onScreen && order[0] && fetched.get(order[0][0]);
  if (!next) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const [id] = order.shift();
  forget(id);
  paint(next.node, `/candidates/${id}${onScreen.query}`);
}, true);

// A page that says what was decided was not led to by this file.
if (one(".toast:not([hidden])")) past = undone = [];
arrived();
if (past.length + undone.length + listActs().length > 0) idle(warm);

// ---------------------------------------------------------------- what comes after the first candidate

const AT_REST_MS = 1500;
setTimeout(() => {
  idle(() => {
    warm().then(() => again?.fetchEditor());
    loadBeside().then(() => beside.showGuide()).catch(() => {});
  });
}, AT_REST_MS);
