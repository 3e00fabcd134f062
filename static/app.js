// What the pages do beyond links and forms: keys, focus, the live region, the drop zone, colours. Keys are read from
// the elements that carry them (data-key), so there is no second table here.
"use strict";

const PAINTED_MS = 150;
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

let inFlight = 0;
let paintedAt = performance.now();
let isScriptOpen = false;

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

const isShown = (element) => element.checkVisibility() || element.closest("details:not([open])");

function step(by) {
  const stops = all("[data-hunk], [data-row]").filter((stop) => stop.checkVisibility());
  if (stops.length === 0) return;
  const last = stops.findIndex((stop) => stop.getAttribute("aria-current") === "true" || stop === document.activeElement);
  const next = stops[Math.min(Math.max(last + by, 0), stops.length - 1)];
  for (const stop of stops) stop.removeAttribute("aria-current");
  if (next.hasAttribute("data-hunk")) next.setAttribute("aria-current", "true");
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: next.hasAttribute("data-hunk") ? "start" : "nearest" });
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
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
  if (event.key === "Escape" && isTyping(event) && event.target.matches("textarea, select, input")) {
    // From a comment or a rating back to the keys.
    event.target.blur();
    one("main").focus({ preventScroll: true });
    return;
  }
  if (isTyping(event) || one("dialog[open]")) return;
  if (event.key === "j" || event.key === "k") {
    event.preventDefault();
    step(event.key === "j" ? 1 : -1);
    return;
  }
  if (event.key.length !== 1) return;
  const target = all(`[data-key="${CSS.escape(event.key)}"]`).find((element) => !element.disabled && isShown(element));
  if (!target) return;
  // A held key must not decide thirty candidates, and a key must not fall on one that is about to leave.
  if (event.repeat || inFlight > 0) {
    event.preventDefault();
    return;
  }
  press(target, event);
});

// ---------------------------------------------------------------- htmx

document.addEventListener("htmx:before:request", () => (inFlight += 1));
document.addEventListener("htmx:finally:request", () => (inFlight -= 1));

document.addEventListener("htmx:before:response", (event) => {
  const { response } = event.detail.ctx;
  if (response.status < 400 || response.headers.has("HX-Retarget")) return;
  event.preventDefault();
  notify(`The server answered ${response.status}. Nothing typed is lost; try again.`);
});

document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx) notify("The server cannot be reached. Nothing typed is lost; try again when it is back.");
});

document.addEventListener("htmx:before:swap", (event) => {
  isScriptOpen = one("#script")?.open ?? isScriptOpen;
  if (event.detail.ctx.response?.status < 400) one("#notice").replaceChildren();
});

document.addEventListener("htmx:after:swap", (event) => {
  settle(event.detail.ctx.target);
});

function settle(target) {
  paintedAt = Infinity;
  requestAnimationFrame(() => (paintedAt = performance.now()));
  autostart();
  showRung();
  if (target === "#ladder" || target?.id === "ladder") {
    say(one("#ladder").dataset.says);
    const { top } = one("#attempt").getBoundingClientRect();
    if (top < 0 || top > innerHeight) one("#ladder").scrollIntoView({ block: "start" });
  }
  const candidate = one("#candidate[data-says]");
  const isNew = candidate && (target === "#candidate" || target?.id === "candidate" || target === document.body);
  if (!isNew) return;
  const script = one("#script");
  if (script && isScriptOpen) script.open = true;
  document.title = candidate.dataset.title;
  say(candidate.dataset.says);
  one("#main").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

// The list of attempts scrolls by itself; the one that is looked at stands in its middle.
function showRung() {
  const row = one(".rungs tr:has([aria-current])");
  if (row) row.closest(".rungs").scrollTop = row.offsetTop - row.closest(".rungs").clientHeight / 2;
}

// ---------------------------------------------------------------- files

const hasFiles = (event) => event.dataTransfer?.types.includes("Files") && one("[data-drop]");

document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove("dropping");
  const form = one("[data-drop]");
  one("input[type=file]", form).files = event.dataTransfer.files;
  form.requestSubmit();
});
document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-drop]");
  if (form && event.target.files.length > 0) form.requestSubmit();
});

// An export that was seen to end downloads by itself, once.
function autostart() {
  const link = one("a[data-autostart]");
  if (!link) return;
  link.removeAttribute("data-autostart");
  history.replaceState(history.state, "", location.pathname);
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
