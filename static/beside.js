// What stands beside the diff: the panel of the guideline, and comments on its lines. Fetched with its first use, or when
// nothing else is to do.

/** Opens or closes the panel at once; the server is told, so that it is so on the next page and machine too. */
export function turnGuide(isOpen) {
  const panel = one("#guide");
  panel.hidden = !isOpen;
  showGuide();
  (isOpen ? panel : one("main")).focus({ preventScroll: true });
  say(isOpen ? "Guidelines opened." : "Guidelines closed.");
  const told = new URLSearchParams({ open: isOpen ? "yes" : "no" });
  fetch(one("#guide-toggle").action, { method: "POST", body: told, redirect: "manual" }).catch(() => {});
}

/** The button says what it would do; a guideline that was changed meanwhile is fetched anew. */
export function showGuide() {
  const panel = one("#guide");
  const button = one("#candidate [form=guide-toggle]");
  if (!panel || !button) return;
  button.value = panel.hidden ? "yes" : "no";
  button.setAttribute("aria-expanded", String(!panel.hidden));
  const isOld = Number(one("#standing").dataset.version) < Number(one("#candidate").dataset.guideline);
  if (panel.hidden || !isOld) return;
  one("header a", panel).textContent = `version ${one("#candidate").dataset.guideline}`;
  htmx.ajax("GET", "/guidelines", { source: panel, target: "#standing", swap: "outerHTML" });
}

// ---------------------------------------------------------------- lines

const LINES = "#diff tr, #script-text tr, #made .script tr";
const listLines = () => all(LINES).filter((row) => !row.matches(".say, .note") && row.checkVisibility());
const lineHere = () => one("tr[aria-current=true]");

function goTo(row) {
  lineHere()?.removeAttribute("aria-current");
  row.setAttribute("aria-current", "true");
  row.tabIndex = -1;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

/** The first line behind the change that was stepped to, or of all. */
function firstLine(lines) {
  const hunk = one("#diff [data-hunk][aria-current=true]");
  const isBehind = (row) => !hunk || hunk.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING;
  return lines.findIndex(isBehind);
}

function stepLine(by) {
  const lines = listLines();
  const here = lines.indexOf(lineHere());
  const at = here < 0 ? firstLine(lines) : here + by;
  if (lines[at]) goTo(lines[at]);
}

// ---------------------------------------------------------------- commenting

/** What a row is, as the form's address says it; null for one that is no line of a text. */
function placeOf(row) {
  const numbered = /^([LS])(\d+)$/.exec(row.id);
  if (numbered) {
    const field = numbered[1] === "L" ? "script" : row.closest(".pair").classList[1];
    return { field, at: numbered[2] };
  }
  const hunk = all("#diff [data-hunk]").filter((one) => one.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING).at(-1);
  if (!hunk) return null;
  const cells = [...row.cells].map((cell) => cell.textContent.trim());
  const [old, fresh] = row.cells.length > 3 ? [cells[0], cells[2]] : cells;
  const side = fresh || !old ? "new" : "old";
  return { field: "diff", hunk: hunk.dataset.hunk, side, number: side === "new" ? fresh : old };
}

/** Opens the form behind the line that is stepped to, or behind the first changed line of the change. */
async function comment(row = lineHere()) {
  const lines = listLines();
  const isChange = (one) => one.querySelector(".a, .d");
  const first = Math.max(0, firstLine(lines));
  const at = row ?? lines.slice(first).find(isChange) ?? lines[first];
  const found = at && placeOf(at);
  if (!found) return notify("There is no line here to comment on.");
  const id = one("#candidate").dataset.id;
  const query = new URLSearchParams({ ...found, ...Object.fromEntries(new URLSearchParams(queryHere())) });
  const page = await read(`/candidates/${id}/comments/new?${query}`);
  const form = page && one("form.comment-new", page);
  if (!form) return;
  const cell = document.createElement("td");
  cell.colSpan = at.cells.length;
  cell.append(document.adoptNode(form));
  const holder = document.createElement("tr");
  holder.className = "say";
  holder.append(cell);
  at.after(holder);
  goTo(at);
  one("textarea", holder).focus();
}

/** Opens the answer to the thread that was stepped to; false where none was. */
function answer() {
  const more = document.activeElement.closest("[data-thread]")?.querySelector(".thread-acts details");
  if (!more) return false;
  more.open = true;
  one("textarea", more).focus();
  return true;
}

function toggleAll(folds) {
  const isOpening = folds.some((fold) => !fold.open);
  for (const fold of folds) fold.open = isOpening;
}

/** What a key of the table does here. */
export function press(action) {
  const run = {
    issue: () => {
      toggleAll(all(".issue details"));
      one(".issue, .given")?.scrollIntoView({ block: "start" });
    },
    trace: () => {
      toggleAll(all("#attempt .trace details"));
      one("#attempt .trace, #attempt")?.scrollIntoView({ block: "start" });
    },
    repeats: () => toggleAll(all("#diff details.rp")),
    rest: () => {
      for (const link of all("#diff .lz a[data-key]")) link.click();
      toggleAll(all(".evidence details:not(#script, #yields)"));
    },
    comment: () => answer() || comment(),
    comments: showComments,
    "next-line": () => stepLine(1),
    "previous-line": () => stepLine(-1),
    "next-comment": () => step("[data-thread]", 1),
    "previous-comment": () => step("[data-thread]", -1),
  };
  return run[action]();
}

/** Why this verdict is not taken now, or nothing; the server says the same of an accept, only later. */
export function keepsBack(verdict) {
  const isTyped = all("#candidate .comment-new textarea").some((field) => field.value.trim());
  if (isTyped) return "A comment is typed and not sent. Send it, or cancel it.";
  return verdict === "accept" ? one("#comments")?.dataset.blocks : "";
}

/** Accept looks as blocked as it is. */
function showBlocked() {
  const accept = one("#decide .accept:enabled");
  const isBlocked = Boolean(one("#comments").dataset.blocks);
  for (const [name, value] of [["aria-disabled", "true"], ["aria-describedby", "blocked"]]) {
    if (isBlocked) accept?.setAttribute(name, value);
    else accept?.removeAttribute(name);
  }
}

function showComments() {
  const list = one("#comments:not([hidden])");
  if (!list) return say("Nobody has commented on this candidate.");
  list.scrollIntoView({ block: "start" });
  list.focus({ preventScroll: true });
}

async function read(address, more = {}) {
  const response = await fetch(address, { ...more, headers: { "HX-Request": "true", "HX-Request-Type": "partial" } }).catch(() => null);
  if (!response) return void notify("The server cannot be reached. Nothing typed is lost; try again when it is back.");
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (response.ok || one("form.comment-new", page)) return page;
  notify(one(".notice", page)?.textContent.trim() || `The server answered ${response.status}. Nothing typed is lost.`);
  return undefined;
}

/** Sends a form of a comment; the thread, the list, and what blocks acceptance are then as the server says. */
export async function send(form, submitter) {
  if (form.dataset.sent) return;
  form.dataset.sent = "yes";
  const page = await read(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, submitter)) });
  delete form.dataset.sent;
  if (!page) return;
  const again = one("form.comment-new", page);
  if (again) {
    form.replaceWith(document.adoptNode(again));
    return one("textarea", again)?.focus();
  }
  const thread = document.adoptNode(one("[data-thread]", page));
  const holder = form.closest("[data-thread]") ?? form;
  if (holder.closest("#comments") || !holder.closest("#candidate")) one("#comments").replaceWith(document.adoptNode(one("#comments", page)));
  else {
    holder.replaceWith(thread);
    one("#comments").replaceWith(document.adoptNode(one("#comments", page)));
  }
  showBlocked();
  // Where the page draws no line for it, the list shows it whole.
  if (!document.getElementById(thread.id)) one("#comments").append(thread);
  const shown = document.getElementById(thread.id);
  shown.tabIndex = -1;
  shown.focus({ preventScroll: true });
  one("#notice").replaceChildren();
  say(one("#comments").dataset.blocks || "Saved.");
}

document.addEventListener("click", (event) => {
  const cancel = event.target.closest?.("a[data-cancel]");
  const row = event.target.closest?.(LINES);
  const isNumber = row && event.target.matches("td") && /^\d+$/.test(event.target.textContent);
  if (cancel?.closest("tr.say")) {
    event.preventDefault();
    cancel.closest("tr.say").remove();
    one("main").focus({ preventScroll: true });
  } else if (event.target.closest?.("a[data-comment]") && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    event.preventDefault();
    comment();
  } else if (isNumber) comment(row);
});
document.addEventListener("keydown", (event) => {
  const form = event.target.closest?.("form[data-comments]");
  if (!form || event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  form.requestSubmit(form.querySelector("button"));
});
