// What the pages do beyond links and forms: keys, focus, the live region, colours. Keys are read from the elements that
// carry them (data-key) and from the sheet that lists them all, so there is no second table here.
"use strict";

const PAINTED_MS = 150;
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

let inFlight = 0;
let paintedAt = performance.now();
// What was opened stays open on the next candidate.
const isOpen = { script: false, yields: false };

// ---------------------------------------------------------------- sentences

function notify(sentence) {
  const line = document.createElement("p");
  line.className = "notice bad";
  line.append(document.createElement("strong"));
  line.firstChild.textContent = sentence;
  one("#notice").replaceChildren(line);
  line.scrollIntoView({ block: "nearest" });
}

function say(sentence) {
  one("#said").textContent = sentence;
}

// ---------------------------------------------------------------- keys

function isTyping(event) {
  // The editor lives in a shadow root, where event.target is only its host.
  const at = event.composedPath()[0];
  if (!(at instanceof Element)) return false;
  if (at.isContentEditable || at.matches("textarea, select")) return true;
  return at.matches("input") && !at.matches("[type=checkbox], [type=radio], [type=button], [type=submit]");
}

// Also what a folded summary, the closed menu or a closed list of keys hides can be pressed.
const isShown = (element) => element.checkVisibility() || element.closest("details:not([open]), dialog:not([open]), #menu");

// What an action of the table does where no element of the page carries its key; a page's own file adds to them.
const actions = {
  down: () => step("[data-hunk], [data-row]", 1),
  up: () => step("[data-hunk], [data-row]", -1),
  top: () => window.scrollTo(0, 0),
  bottom: () => window.scrollTo(0, document.documentElement.scrollHeight),
};
const rowOf = (name, value) => all("#sheet [data-action]").find((row) => row.dataset[name] === value);
const keyOf = (action) => rowOf("action", action)?.dataset.press || "the button";

function step(kind, by) {
  const stops = all(kind).filter((stop) => stop.checkVisibility());
  if (stops.length === 0) return;
  const isHere = (stop) => stop.getAttribute("aria-current") === "true" || stop === document.activeElement;
  const last = stops.findIndex(isHere);
  const next = stops[Math.min(Math.max(last + by, 0), stops.length - 1)];
  for (const stop of all("[data-hunk][aria-current], [data-row][aria-current]")) stop.removeAttribute("aria-current");
  if (next.hasAttribute("data-hunk")) next.setAttribute("aria-current", "true");
  if (!next.matches("a, [tabindex]")) next.setAttribute("tabindex", "-1");
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: next.hasAttribute("data-row") ? "nearest" : "start" });
}

function press(target, event) {
  if (target.hasAttribute("data-decides") && performance.now() - paintedAt < PAINTED_MS) return;
  event.preventDefault();
  if (target.matches("input[type=search]")) {
    target.focus();
    target.select();
    return;
  }
  const folded = target.closest("details:not([open])");
  if (folded && !target.matches("summary")) folded.open = true;
  target.click();
  if (target.matches("summary") && target.parentElement.open) bring(target.parentElement);
}

// What a key opens below the fold comes up, and once more when what it asked for is there and the page is long enough.
let brought = null;

function bring(fold) {
  brought = fold;
  const { top, bottom } = fold.getBoundingClientRect();
  // The bar with the verdicts covers what lies below it.
  if (top < 0 || bottom > innerHeight - (one(".decide")?.offsetHeight ?? 0)) fold.scrollIntoView({ block: "start" });
}

// What opens to be typed into gets the keys: the first letter of a reason must not decide. Opened here and not by the
// browser, whose `toggle` comes later than the next key may.
document.addEventListener("click", (event) => {
  const fold = event.target.closest?.("summary")?.parentElement;
  if (!fold || fold.open) return;
  const field = fold.querySelector(":scope > input:not([type=hidden]), :scope > form > input:not([type=hidden])");
  if (!field) return;
  event.preventDefault();
  fold.open = true;
  field.focus();
});

// The first key of two, such as `g` of `g q`, waits this long for the second.
const CHORD_MS = 1000;
let chord = "";
let chordEnds = 0;

function read(event) {
  const pressed = chord && performance.now() < chordEnds ? `${chord} ${event.key}` : event.key;
  chord = all("#sheet [data-press]").some((row) => row.dataset.press.startsWith(`${pressed} `)) ? pressed : "";
  chordEnds = performance.now() + CHORD_MS;
  return chord ? "" : pressed;
}

function act(pressed, event) {
  if (/^[1-9]$/.test(pressed) && rowOf("action", "reason").dataset.press && !event.repeat && actions.reason?.(Number(pressed))) return event.preventDefault();
  const target = all(`[data-key="${CSS.escape(pressed)}"]`).find((element) => !element.disabled && isShown(element));
  const action = target ? null : rowOf("press", pressed)?.dataset.action;
  // A button that is off says why to the key as it does to the eye.
  const off = target ? null : one(`[data-key="${CSS.escape(pressed)}"][disabled][aria-describedby]`);
  const why = off && document.getElementById(off.getAttribute("aria-describedby"))?.textContent;
  if (why) return void (event.preventDefault(), notify(why));
  if (!target && !actions[action]) return;
  // A held key must not decide thirty candidates, and a key must not fall on one that is about to leave.
  if (inFlight > 0 || (event.repeat && (target || action === "redo"))) return event.preventDefault();
  if (target) return press(target, event);
  event.preventDefault();
  actions[action]();
}

async function openPalette(event) {
  event?.preventDefault();
  const { open } = await import(one("#palette").dataset.script);
  open();
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented || event.key === "Shift") return;
  const isInEditor = event.composedPath().some((at) => at.classList?.contains("editor"));
  const isPalette = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k";
  if (isPalette && !isInEditor && !one("dialog[open]")) return void openPalette(event);
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape" && isTyping(event) && event.target.matches("textarea, select, input")) {
    // From a comment or a rating back to the keys.
    event.target.blur();
    one("main").focus({ preventScroll: true });
    return;
  }
  if (isTyping(event) || one("dialog[open]") || event.key.length !== 1 || event.key === " ") return;
  const pressed = read(event);
  if (pressed) act(pressed, event);
  else event.preventDefault();
});

// ---------------------------------------------------------------- htmx

document.addEventListener("htmx:before:request", (event) => {
  if (isAside(event)) return;
  if (!isLive(event)) inFlight += 1;
  else if (document.hidden) event.preventDefault();
});
document.addEventListener("htmx:finally:request", (event) => {
  if (!isLive(event) && !isAside(event)) inFlight -= 1;
});

document.addEventListener("htmx:before:response", (event) => {
  const { response } = event.detail.ctx;
  if (isLive(event) && response.status >= 400) {
    event.preventDefault();
    return;
  }
  if (response.status < 400 || response.headers.has("HX-Retarget")) return;
  event.preventDefault();
  notify(`The server answered ${response.status}. Nothing typed is lost; try again.`);
});

document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx && !isLive(event)) notifyAway();
});

document.addEventListener("htmx:before:swap", (event) => {
  if (isLive(event) || isAside(event)) return;
  noteOpen();
  if (event.detail.ctx.response?.status < 400) one("#notice").replaceChildren();
});

document.addEventListener("htmx:after:swap", (event) => {
  if (!isLive(event) && !isAside(event)) settle(event.detail.ctx.target);
  if (brought && event.detail.ctx.sourceElement === brought) bring(brought);
  if (sought && document.getElementById(sought)) land(sought);
});

// A finding leads to its line, whatever is folded around it; the script comes when it is opened for the first time.
let sought = "";

function land(id) {
  sought = "";
  for (let at = document.getElementById(id); at; at = at.parentElement) if (at.matches("details")) at.open = true;
  // What htmx keeps of this address stays with it.
  const { state } = history;
  location.replace(`#${id}`);
  history.replaceState(state, "", location.href);
}

document.addEventListener("click", (event) => {
  const id = event.target.closest?.("a[data-place]")?.hash.slice(1) ?? "";
  if (event.ctrlKey || event.metaKey || event.shiftKey || !/^[dL]\d+$/.test(id)) return;
  const isHere = document.getElementById(id);
  if (!isHere && !(id.startsWith("L") && one("#script"))) return;
  event.preventDefault();
  if (isHere) land(id);
  else {
    sought = id;
    one("#script").open = true;
  }
});

// A list that asks whether it is out of date is no work of the person's.
function isLive(event) {
  return Boolean(event.detail.ctx?.sourceElement?.hasAttribute("data-live"));
}

// What somebody reads beside the patch must not keep a key from deciding.
function isAside(event) {
  return Boolean(event.detail.ctx?.sourceElement?.hasAttribute("data-aside"));
}

function noteOpen() {
  for (const name in isOpen) isOpen[name] = one(`#${name}`)?.open ?? isOpen[name];
}

/** After a swap: the guard, the title, the live region, the focus; `hint` is what to know of what was just done. */
function settle(target, hint = "") {
  paintedAt = Infinity;
  requestAnimationFrame(() => (paintedAt = performance.now()));
  autostart();
  showRung();
  if (target === "#ladder" || target?.id === "ladder") {
    say(one("#ladder").dataset.says);
    const { top } = one("#attempt").getBoundingClientRect();
    if (top < 0 || top > innerHeight) one("#ladder").scrollIntoView({ block: "start" });
  }
  if (target?.matches?.(".word, #yields-body")) say(one("#yields-sum").dataset.says);
  const candidate = one("#candidate[data-says]");
  const isNew = candidate && (target === "#candidate" || target?.id === "candidate" || target === document.body);
  if (!isNew) return;
  for (const name in isOpen) if (one(`#${name}`)) one(`#${name}`).open = isOpen[name];
  document.title = candidate.dataset.title;
  const done = one(".toast:not([hidden])", candidate)?.textContent;
  say([done, candidate.dataset.says].filter(Boolean).join(". ") + (hint ? ` ${hint}.` : ""));
  one("#main").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  document.dispatchEvent(new Event("candidate"));
}

// The list of attempts scrolls by itself; the one that is looked at stands in its middle.
function showRung() {
  const row = one(".rungs tr:has([aria-current])");
  if (row) row.closest(".rungs").scrollTop = row.offsetTop - row.closest(".rungs").clientHeight / 2;
}

// An export that was seen to end downloads by itself, once.
function autostart() {
  const link = one("a[data-autostart]");
  if (!link) return;
  link.removeAttribute("data-autostart");
  const address = new URL(location.href);
  address.searchParams.delete("new");
  address.searchParams.delete("ready");
  history.replaceState(history.state, "", address);
  link.click();
}

// ---------------------------------------------------------------- colours, the list of keys

document.addEventListener("change", (event) => {
  if (event.target.id !== "theme") return;
  document.documentElement.dataset.theme = event.target.value;
  document.cookie = `theme=${event.target.value}; Path=/; Max-Age=31536000; SameSite=Lax`;
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[commandfor]");
  if (opener && !("commandForElement" in HTMLButtonElement.prototype)) one(`#${opener.getAttribute("commandfor")}`).showModal();
});

document.addEventListener("DOMContentLoaded", () => {
  if (location.hash === "#q") one("#q")?.focus();
  autostart();
  showRung();
});
