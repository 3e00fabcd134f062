// Decisions on their way. Each waits as one entry of localStorage until the server has said that it has it: a cut network,
// a reload or a crash loses none, and its key lets the server take it once. The entries' names say their order; the tabs
// of a browser share them and take turns in sending.
"use strict";

const OUTBOX = `outbox/${document.body.dataset.desk}/`;
const REASON_MS = 1500;
const SEND_MS = 20_000;
const RETRY_MS = [500, 1000, 2000, 5000, 10_000];
const FLUSH_MS = 1000;
// A fault of the server's own that comes again and again must not keep the other decisions back.
const MOST_FAULTS = 4;

let lastAt = 0;
let nFailed = 0;
let beingSent = "";
let delivering = null;
let waking = 0;
let hasSent = false;
// Something that was asked of the server had no answer; the next link asks first whether there is one.
let isCut = false;
// The login ended: what waits is sent as soon as there is one again, in this tab or another.
let isOut = false;

const token = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// ---------------------------------------------------------------- what is kept

function readAct(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}

function listActs() {
  const names = [];
  try {
    for (let n = 0; n < localStorage.length; n += 1) names.push(localStorage.key(n));
  } catch {
    return [];
  }
  return names.filter((name) => name?.startsWith(OUTBOX)).sort().map(readAct).filter(Boolean);
}

const listWaiting = () => listActs().filter((act) => !act.refused);
const listRefused = () => listActs().filter((act) => act.refused);
/** The candidates of which the server may not know yet what was decided. */
const listUnsure = () => listActs().filter((act) => !act.isSeen).map((act) => act.id);
/** Whether the server cannot have seen an act: it can be taken back by dropping it. */
const isUnsent = (act) => readAct(act.name)?.isTried === false;

/** Puts an act at the end of the outbox; null where the browser keeps nothing, and the caller must send it itself. */
function keepAct(act) {
  lastAt = Math.max(Date.now(), lastAt + 1, (listActs().at(-1)?.at ?? 0) + 1);
  const kept = { ...act, at: lastAt, isTried: false, name: `${OUTBOX}${String(lastAt).padStart(15, "0")}.${act.key}` };
  try {
    localStorage.setItem(kept.name, JSON.stringify(kept));
  } catch {
    return null;
  }
  setTimeout(deliver);
  return kept;
}

/** Changes an act that is still here. */
function changeAct(act, change) {
  Object.assign(act, change);
  if (localStorage.getItem(act.name) !== null) localStorage.setItem(act.name, JSON.stringify(act));
}

function dropAct(act) {
  localStorage.removeItem(act.name);
  showOutbox();
}

/** What was decided on a candidate and waits, or undefined; a verdict that was taken back does not. */
function findDecided(id) {
  const last = listWaiting().findLast((act) => act.id === id);
  return last?.verdict === "undo" ? undefined : last;
}

/** The reject that waits for its reason, or null: only the last act does, and not for long, with a server or without. */
function findHeld() {
  const last = listWaiting().at(-1);
  const rest = (last?.until ?? 0) - Date.now();
  return rest > 0 && rest <= REASON_MS && !last.isTried ? last : null;
}

// ---------------------------------------------------------------- sending

function request(act, more = {}) {
  const { id, key, of, verdict, version, reasons, comment, rating, guideline, n_seen, n_hunks, spent_ms } = act;
  const isUndo = verdict === "undo";
  const body = isUndo ? { key, of } : { verdict, version, key, reasons, comment, rating, guideline, n_seen, n_hunks, spent_ms };
  return fetch(isUndo ? "/api/v1/undo" : `/api/v1/candidates/${id}/decisions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...more,
  });
}

/** What the server says of an act, or null where it cannot be known: then it is sent again, under the same key. */
async function post(act) {
  try {
    const response = await request(act, { signal: AbortSignal.timeout(SEND_MS) });
    const isFault = response.status === 500 && nFailed >= MOST_FAULTS;
    if (!isFault && (response.status >= 500 || [408, 425, 429].includes(response.status))) return null;
    isOut = response.status === 401;
    if (isOut) {
      notifyOut();
      return null;
    }
    const said = await response.json();
    // Something between here and the server may answer in its name.
    if (response.ok ? !said.candidate : !said.error) return null;
    return { isStored: response.ok, said };
  } catch {
    return null;
  }
}

function conclude(act, { isStored, said }) {
  const takesBack = listWaiting().find((later) => later.of === act.key);
  if (isStored || act.verdict === "undo") localStorage.removeItem(act.name);
  else if (takesBack) {
    // What was refused and taken back meanwhile is done with.
    for (const one of [act, takesBack]) localStorage.removeItem(one.name);
    return;
  } else changeAct(act, { refused: said.error.message });
  // Who took something back and decides anew has seen no other text than this one.
  if (isStored && act.verdict === "undo") {
    for (const later of listWaiting()) if (later.id === act.id) changeAct(later, { version: said.candidate.version });
  }
  hasSent ||= isStored;
  document.dispatchEvent(new CustomEvent("outbox:answer", { detail: { act, isStored, said } }));
}

async function deliverAll() {
  for (;;) {
    const act = listWaiting()[0];
    if (!act || act.name === findHeld()?.name) return;
    // From here on the server may have it, whatever becomes of the answer.
    changeAct(act, { isTried: true });
    beingSent = act.name;
    const answer = await post(act);
    beingSent = "";
    if (!answer) {
      nFailed += 1;
      return;
    }
    nFailed = 0;
    isCut = false;
    one("#notice [data-login]")?.closest(".notice").remove();
    conclude(act, answer);
    showOutbox();
  }
}

function deliver() {
  delivering ??= (navigator.locks ? navigator.locks.request(OUTBOX, deliverAll) : deliverAll()).finally(() => {
    delivering = null;
    showOutbox();
    wake();
  });
  showOutbox();
  return delivering;
}

function wake() {
  clearTimeout(waking);
  if (listWaiting().length === 0) return;
  const held = findHeld();
  const pause = held?.name === listWaiting()[0].name ? held.until - Date.now() : nFailed > 0 ? RETRY_MS[Math.min(nFailed, RETRY_MS.length) - 1] : 0;
  waking = setTimeout(deliver, pause + 1);
}

/** Sends what waits, also a reject without its reason; ends when it is done, or after a second. */
async function flush() {
  const until = performance.now() + FLUSH_MS;
  while (listWaiting().length > 0 && performance.now() < until) {
    const held = findHeld();
    if (held) changeAct(held, { until: 0 });
    await Promise.race([deliver(), new Promise((done) => setTimeout(done, FLUSH_MS))]);
    if (nFailed > 0) return;
  }
}

// ---------------------------------------------------------------- what is seen of it

function showOutbox() {
  const n = listWaiting().length;
  const isAway = nFailed > 0 && n > 0;
  const sign = one("#outbox");
  const text = isAway ? `${n} waiting for ${isOut ? "your login" : "the server"}` : n > 0 ? "Saving" : hasSent ? "Saved" : "";
  if (sign.textContent === text) return;
  if (isAway !== sign.classList.contains("away")) {
    const why = isOut ? "Your login has ended" : "The server cannot be reached";
    say(isAway ? `${why}. Decisions wait here and lose nothing.` : "Every decision is saved.");
  }
  sign.classList.toggle("away", isAway);
  sign.textContent = text;
}

// What few ever see is in a file of its own: what was not stored, and a login that ended.
const loadRefused = () => import(one("#refusal-line").dataset.script);
const showRefused = () => (listRefused().length > 0 || one("#refused").dataset.acts) && loadRefused().then(({ show }) => show()).catch(() => {});
const notifyOut = () => loadRefused().then(({ tellOut }) => tellOut()).catch(() => {});

document.addEventListener("outbox:answer", (event) => {
  const { act, isStored, said } = event.detail;
  if (!isStored && act.verdict === "undo") notify(said.error.message);
  if (!isStored) showRefused();
});

// ---------------------------------------------------------------- leaving, with and without a network

/** The link of ours that a plain click follows to another page or fragment, or null. */
function followed(event) {
  const link = event.target.closest?.("a[href]");
  const isOurs = link && link.origin === location.origin && !link.target && !link.hasAttribute("download");
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (!isOurs || !isPlain || event.defaultPrevented) return null;
  return link.hash && link.pathname === location.pathname && link.search === location.search ? null : link;
}

// What is looked at next must count what was decided before.
document.addEventListener("click", async (event) => {
  const link = followed(event);
  if (!link || listWaiting().length === 0) return;
  event.preventDefault();
  await flush();
  location.assign(link.href);
});

async function isReached() {
  try {
    isCut = !(await fetch("/healthz", { cache: "no-store" })).ok;
  } catch {
    isCut = true;
  }
  return !isCut;
}

/** What a key or a link that needs the server says without one. */
function notifyAway() {
  isCut = true;
  const n = listWaiting().length;
  const waits = n === 0 ? "" : n === 1 ? " 1 decision waits here and is sent when it is back." : ` ${n} decisions wait here and are sent when it is back.`;
  notify(`There is no network, or the server does not answer: this needs it.${waits} Nothing typed is lost.`);
}

// Without a network a link would leave for the browser's own page of errors. A server on this machine needs none, so it
// is asked. Below the document, where what is here already has answered the click.
let isLetThrough = false;

function askFirst(event, isLeaving, again) {
  const isUnsure = !navigator.onLine || nFailed > 0 || isCut;
  if (isLetThrough || !isUnsure || !isLeaving) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  isReached().then((isHere) => {
    if (!isHere) return notifyAway();
    isLetThrough = true;
    again();
    isLetThrough = false;
  });
}

document.body.addEventListener("click", (event) => {
  const link = followed(event);
  askFirst(event, link, () => link.click());
}, true);
document.body.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  askFirst(event, form.method !== "dialog" && !form.matches("#edit"), () => form.requestSubmit(submitter));
}, true);

window.addEventListener("pagehide", () => {
  const acts = listWaiting();
  // The answer is not read: the entry stays, and is sent again under its key. Of several the order would not be sure.
  if (acts.length === 1 && !beingSent) request(acts[0], { keepalive: true }).catch(() => {});
});
window.addEventListener("online", () => {
  nFailed = 0;
  isCut = false;
  deliver();
});
window.addEventListener("storage", (event) => event.key?.startsWith(OUTBOX) && showOutbox());
showRefused();
if (listWaiting().length > 0) deliver();

// What a form decided is taken back by the server, which knows what was last; not by what a tab remembers.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post" || event.target.matches(".theme")) return;
  for (const name of ["past", "undone"]) sessionStorage.removeItem(name);
});
