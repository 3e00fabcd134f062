// What the pages do beyond links and forms: keys, focus, the live region, the drop zone, colours. Keys are read from
// the elements that carry them (data-key), so there is no second table here.
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
  if (event.detail.ctx && !isLive(event)) notify("The server cannot be reached. Nothing typed is lost; try again when it is back.");
});

document.addEventListener("htmx:before:swap", (event) => {
  if (isLive(event)) {
    hold();
    return;
  }
  if (isAside(event)) return;
  for (const name in isOpen) isOpen[name] = one(`#${name}`)?.open ?? isOpen[name];
  if (event.detail.ctx.response?.status < 400) one("#notice").replaceChildren();
});

document.addEventListener("htmx:after:swap", (event) => {
  if (isLive(event)) letGo();
  else if (!isAside(event)) settle(event.detail.ctx.target);
});

// What somebody reads beside the patch must not keep a key from deciding.
function isAside(event) {
  return Boolean(event.detail.ctx?.sourceElement?.hasAttribute("data-aside"));
}

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
  if (target?.matches?.(".word, #yields-body")) say(one("#yields-sum").dataset.says);
  const candidate = one("#candidate[data-says]");
  const isNew = candidate && (target === "#candidate" || target?.id === "candidate" || target === document.body);
  if (!isNew) return;
  for (const name in isOpen) if (isOpen[name] && one(`#${name}`)) one(`#${name}`).open = true;
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

// ---------------------------------------------------------------- a list that grows by itself

// The row that somebody is at stays where it is on the screen, whatever comes or goes above it.
let held = null;

function isLive(event) {
  return Boolean(event.detail.ctx?.sourceElement?.hasAttribute("data-live"));
}

function hold() {
  const row = one("#list tr:focus-within") ?? one("#list tr:hover");
  const count = one("#list .bar strong")?.textContent;
  held = { row, count, at: row?.rowIndex, top: row?.getBoundingClientRect().top, hasFocus: row?.matches(":focus-within") };
}

function letGo() {
  const rows = all("#list tbody tr");
  const count = one("#list .bar strong")?.textContent;
  if (count && count !== held.count) say(`${count} candidates`);
  const row = held.row?.isConnected ? held.row : rows[Math.min(held.at, rows.length) - 1];
  if (!held.row || !row) return;
  if (held.hasFocus && !row.matches(":focus-within")) one("[data-row]", row).focus({ preventScroll: true });
  window.scrollBy(0, row.getBoundingClientRect().top - held.top);
}

// ---------------------------------------------------------------- files

// What the server would pass over need not leave the machine: of a folder only what may be a log is sent, and patch sets
// whole. The server looks into what it gets; here only names count.
const NOT_WALKED = new Set([
  ".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", "__MACOSX", ".tox", ".nox", ".mypy_cache",
  ".pytest_cache", ".ruff_cache",
]);
const MAY_BE_LOG = /\.(jsonl?|ndjson)|\.gz$/i;
const OF_A_SET = /(^|\/)(patch_meta\.json|CHANGELOG_PATCH\.md)$/;
const MOST_FILES = 5000;

async function listed(folder) {
  const found = [];
  const reader = folder.createReader();
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (some.length === 0) return found;
    for (const entry of some) {
      if (entry.isFile) found.push(entry);
      else if (!NOT_WALKED.has(entry.name)) found.push(...(await listed(entry)));
    }
  }
}

function pick(paths) {
  const sets = paths.filter((path) => OF_A_SET.test(path)).map((path) => path.replace(OF_A_SET, "$1"));
  const isOfASet = (path) => sets.some((folder) => folder && path.startsWith(folder));
  // What lies in no folder was dropped by itself, beside one.
  return paths.filter((path) => !path.includes("/") || MAY_BE_LOG.test(path.split("/").pop()) || isOfASet(path));
}

// `whole` maps each file's path to what gives its File, now or later.
async function send(whole) {
  const paths = [...whole.keys()].filter((path) => !path.split("/").some((part) => NOT_WALKED.has(part)));
  const picked = pick(paths);
  if (picked.length === 0) return notify("Nothing in there is called as a log is: no .json, .jsonl, .ndjson or .gz file.");
  if (picked.length > MOST_FILES) {
    return notify(`There are ${picked.length} files that may be logs; more than ${MOST_FILES} come in by the command below.`);
  }
  const form = one("[data-drop]");
  const files = new DataTransfer();
  for (const path of picked) files.items.add(new File([await whole.get(path)()], path));
  one("input[type=file]", form).files = files.files;
  one("[name=left]", form).value = whole.size - picked.length;
  form.requestSubmit();
}

async function sendDropped(entries) {
  say("Looking through the folder.");
  const whole = new Map();
  for (const entry of entries) {
    for (const file of entry.isDirectory ? await listed(entry) : [entry]) {
      whole.set(file.fullPath.slice(1), () => new Promise((done, failed) => file.file(done, failed)));
    }
  }
  await send(whole);
}

function unreadable(error) {
  notify(`The folder cannot be read: ${error.message}. Nothing was sent.`);
}

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
  // Entries are there only until this event ends; files that a script dropped have none.
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  if (entries.some((entry) => entry.isDirectory)) {
    sendDropped(entries).catch(unreadable);
    return;
  }
  const form = one("[data-drop]");
  one("input[type=file]", form).files = event.dataTransfer.files;
  form.requestSubmit();
});
document.addEventListener("change", (event) => {
  if (!event.target.matches("input[type=file]") || event.target.files.length === 0) return;
  if (event.target.closest("[data-folder]")) {
    send(new Map([...event.target.files].map((file) => [file.webkitRelativePath, () => file]))).catch(unreadable);
  } else event.target.closest("[data-drop]")?.requestSubmit();
});

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
