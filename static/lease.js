// Where several people review: an open page says once a minute that its candidate is looked at, hears who else is there
// and within seconds who took it over,
// is given what comes next so that nobody else gets it, and gives all of it back when it is left or out of sight.
"use strict";

const BEAT_MS = 60_000;
const PEEK_MS = 5000;
const FRESH_MS = 1000;

// What this page was given beforehand, and the last visit: one after the other, so that none gives back what the next keeps.
let dealt = [];
let latest = { id: 0, at: -Infinity, answer: Promise.resolve(null) };

const leaseHere = () => one("#lease[data-candidate]");
const candidateHere = () => Number(leaseHere()?.dataset.candidate ?? 0);

/** Says that the candidate is looked at; gives what comes next, or null where nobody looks. */
function visit(takeOver = false) {
  const id = candidateHere();
  const isFresh = latest.id === id && performance.now() - latest.at < FRESH_MS && !takeOver;
  if (!isFresh) latest = { id, at: performance.now(), answer: latest.answer.catch(() => null).then(() => visitNow(id, takeOver)) };
  return latest.answer;
}

async function visitNow(id, takeOver) {
  const line = leaseHere();
  if (!line || document.hidden || candidateHere() !== id) return null;
  const version = Number(one("#candidate").dataset.version ?? line.dataset.version);
  const unsure = listUnsure();
  const response = await fetch(line.dataset.visit, {
    method: "POST",
    headers: { "Content-Type": "application/json", "HX-Request": "true", "HX-Request-Type": "partial" },
    body: JSON.stringify({ candidate: id, version, dealt, take_over: takeOver, had: line.hasAttribute("data-had") }),
  });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const node = page.querySelector("#lease");
  if (!response.ok || !node) throw new Error(`${response.status}`);
  const ahead = JSON.parse(node.dataset.ahead);
  dealt = ahead.map(([next]) => next);
  if (candidateHere() === id) tell(node);
  return { id, ahead, unsure, left: Number(node.dataset.left), capped: node.hasAttribute("data-capped"), guideline: Number(node.dataset.guideline) };
}

function tell(node) {
  const said = (root) => one(".notice strong", root)?.textContent ?? "";
  const before = said(leaseHere());
  const isFocused = leaseHere().contains(document.activeElement);
  leaseHere().replaceWith(document.adoptNode(node));
  if (said(node) !== before) say(said(node) || "It is yours now.");
  if (isFocused) one("main").focus({ preventScroll: true });
}

function giveBack(candidate) {
  if (candidate === null && dealt.length === 0) return;
  // As JSON and not as a form: then the browser says whose page it comes from, which the server asks of every POST.
  const body = new Blob([JSON.stringify({ candidate, dealt })], { type: "application/json" });
  navigator.sendBeacon("/queue/leave", body);
  dealt = [];
  latest = { id: 0, at: -Infinity, answer: Promise.resolve(null) };
}

const visitSoon = () => visit().catch(() => {});

/** Asks whether somebody took the candidate over, and then who. */
async function peek() {
  const line = leaseHere();
  if (!line || document.hidden || one(".holder", line)) return;
  try {
    const response = await fetch(line.dataset.held);
    if (!response.ok || !(await response.json()).held || leaseHere() !== line) return;
  } catch {
    return;
  }
  latest.at = -Infinity;
  visitSoon();
}

document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-take]")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  visit(true).catch(() => notify("The server cannot be reached. Nothing typed is lost; try again when it is back."));
}, true);
document.addEventListener("candidate", visitSoon);
document.addEventListener("visibilitychange", () => (document.hidden ? giveBack(null) : visitSoon()));
window.addEventListener("pagehide", () => leaseHere() && giveBack(candidateHere()));
window.addEventListener("pageshow", (event) => event.persisted && visitSoon());
setInterval(visitSoon, BEAT_MS);
setInterval(peek, PEEK_MS);
visitSoon();
