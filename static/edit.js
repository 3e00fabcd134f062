// The edit page with CodeMirror in place of its textareas. Texts travel as JSON both ways, because a form would turn
// every line end into CRLF. What is typed is kept as a draft: on the server, and here where that cannot be reached.
const CHECK_MS = 400;
const KEEP_MS = 800;
const RETRY_MS = 5000;
const PAUSE_MS = 600_000;
// What a browser sends after a page is gone; the rest stays in this browser until the page is opened again.
const MOST_AFTER_BYTES = 60_000;
// Editors that are opened at once; the others come when they are scrolled to.
const MOST_AT_ONCE = 3;

const form = document.querySelector("#edit");
const refusal = document.querySelector("#refusal");
const kept = document.querySelector("#kept");
const checks = document.querySelector("#checks");
const { field } = form.dataset;
const version = Number(form.elements.version.value);
const local = `draft ${form.dataset.draft}`;
let isSaving = false;
let isOver = false;

// ---------------------------------------------------------------------------------------------------------- texts

const pieces = [...form.querySelectorAll("[data-text]")].map((section) => ({
  section,
  editor: null,
  notes: [],
  original: JSON.parse(section.dataset.original),
  before: section.dataset.before === undefined ? null : JSON.parse(section.dataset.before),
  start: JSON.parse(section.dataset.current),
  box: section.querySelector("[name=drop_hunk]"),
}));
const textOf = (piece) => (piece.editor ? piece.editor.getText() : piece.start);
const isDropped = (piece) => piece.box !== null && piece.box.checked;

/** What a decision takes as `edited`. */
function edited() {
  const texts = pieces.map(textOf);
  if (field === "diff") return { hunks: pieces.map((piece, n) => (isDropped(piece) ? null : texts[n])) };
  if (field === "files") return { files: byPath(texts) };
  return { [field]: texts[0] };
}

const byPath = (texts) => Object.fromEntries(pieces.map((piece, n) => [piece.section.dataset.path, texts[n]]));

/** The same as a draft: a dropped hunk keeps its text. */
function drafted() {
  const texts = pieces.map(textOf);
  const said = { comment: form.elements.comment.value, rating: form.elements.rating.value };
  if (field === "files") return { ...said, files: byPath(texts) };
  if (field !== "diff") return { ...said, [field]: texts[0] };
  return { ...said, diff: texts, dropped: pieces.flatMap((piece, n) => (isDropped(piece) ? [n] : [])) };
}

function refuse(sentence) {
  refusal.hidden = false;
  refusal.firstElementChild.textContent = sentence;
  refusal.scrollIntoView({ block: "center" });
}

// ---------------------------------------------------------------------------------------------------------- drafts

let isNew = false;
let keeping;
let sending = Promise.resolve();

function keepHere(draft) {
  try {
    localStorage.setItem(local, JSON.stringify(draft));
    return true;
  } catch {
    return false; // Full, or forbidden.
  }
}

function forgetHere() {
  try {
    localStorage.removeItem(local);
  } catch {
    // Forbidden; then nothing is there.
  }
}

function keptHere() {
  try {
    return JSON.parse(localStorage.getItem(local));
  } catch {
    return null;
  }
}

async function send(draft, keepalive) {
  const body = JSON.stringify({ version: draft.version, texts: draft.texts });
  const response = await fetch(form.dataset.draft, {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body,
    keepalive: keepalive && body.length < MOST_AFTER_BYTES,
  });
  return response.ok;
}

/** Keep what is typed; here first, for the server may not answer. */
function keep({ keepalive = false } = {}) {
  clearTimeout(keeping);
  if (!isNew || isOver) return sending;
  isNew = false;
  const draft = { version, texts: drafted(), at: Date.now() / 1000 };
  const isHere = keepHere(draft);
  sending = sending
    .then(() => send(draft, keepalive))
    .catch(() => false)
    .then((isThere) => {
      if (isThere && !isNew) forgetHere();
      if (!isThere) keepLater(RETRY_MS);
      if (isThere) kept.textContent = "Draft kept";
      else kept.textContent = isHere ? "The server cannot be reached; this browser keeps the draft" : "Not kept";
    });
  return sending;
}

function keepLater(wait = KEEP_MS) {
  if (isOver) return;
  isNew = true;
  clearTimeout(keeping);
  keeping = setTimeout(keep, wait);
}

/** What this browser kept and the server never got: of this version it is put in place, of another the server has it. */
async function restore() {
  const draft = keptHere();
  if (draft === null) return;
  const found = draft.texts?.[field];
  const texts = field === "diff" ? found : field === "files" ? pieces.map(({ section }) => found?.[section.dataset.path]) : [found];
  const fits = Array.isArray(texts) && texts.length === pieces.length && texts.every((text) => typeof text === "string");
  if (draft.version === version && fits && draft.at > Number(form.dataset.draftAt)) {
    pieces.forEach((piece, n) => {
      piece.start = texts[n];
      if (piece.box) piece.box.checked = draft.texts.dropped.includes(n);
    });
    form.elements.comment.value = draft.texts.comment;
    form.elements.rating.value = draft.texts.rating;
    refuse(`Below stands what you typed until ${new Date(draft.at * 1000).toLocaleString()}; this browser kept it.`);
    keepLater(0);
  } else if (draft.version === version && fits) {
    forgetHere(); // The server has a later one.
  } else if (await send(draft).catch(() => false)) {
    forgetHere();
    location.reload();
  }
}

// ---------------------------------------------------------------------------------------------------------- looked at

const looked = lookedAt();
let spentMs = 0;
let since = document.hidden ? null : performance.now();
const seen = new Set();

/** What the review page saw of this candidate before, and for how long. */
function lookedAt() {
  try {
    const kept = JSON.parse(sessionStorage.getItem("looked"));
    return kept?.id === Number(form.dataset.id) ? kept : null;
  } catch {
    return null;
  }
}

document.addEventListener("visibilitychange", () => {
  if (since !== null) spentMs += performance.now() - since;
  since = document.hidden ? null : performance.now();
});

/** What goes with the decision: of a diff the changes that were on the screen here or before, and the time of both pages. */
function measured() {
  const spent_ms = Math.round((looked?.spent_ms ?? 0) + spentMs + (since === null ? 0 : performance.now() - since));
  const n_hunks = looked?.n_hunks ?? (field === "diff" ? pieces.length : null);
  const here = field === "diff" && pieces.length === n_hunks ? seen.size : 0;
  return { spent_ms, n_hunks, n_seen: n_hunks === null ? null : Math.max(looked?.n_seen ?? 0, here) };
}

const sight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting && !document.hidden) seen.add(target);
});
for (const { section } of pieces) sight.observe(section);

// ---------------------------------------------------------------------------------------------------------- leave, save

async function leave(event) {
  const link = event?.currentTarget ?? document.querySelector("a.button[data-leave]");
  if (event && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
  event?.preventDefault();
  await keep();
  location.assign(link.href);
}

async function save() {
  if (isSaving) return;
  isSaving = true;
  clearTimeout(keeping);
  const fields = new FormData(form);
  try {
    await sending; // A draft that came after the edit would be one of an older version.
    const response = await fetch(form.dataset.api, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        verdict: "edit",
        version,
        key: fields.get("key"),
        comment: fields.get("comment"),
        rating: fields.get("rating") ? Number(fields.get("rating")) : null,
        edited: edited(),
        ...measured(),
      }),
    });
    const answer = await response.json();
    if (response.status === 401) refuse("Your login has ended. Log in again in another tab and save once more; your text is still here.");
    else if (response.status === 409) showBoth();
    else if (!response.ok) refuse(answer.error.message);
    else if (answer.decision === null) refuse(answer.message);
    else {
      isOver = true;
      forgetHere();
      countEdit();
      for (const act of listRefused()) if (String(act.id) === form.dataset.id) dropAct(act);
      location.assign(form.dataset.next);
    }
  } catch {
    keepLater(0);
    refuse("The server cannot be reached. Your text is still here; try again when it is back.");
  } finally {
    isSaving = false;
  }
}

/** The review page tells place and pace of a sitting; an edit is one decision of it. */
function countEdit() {
  try {
    const sitting = JSON.parse(sessionStorage.getItem("sitting"));
    if (!sitting) return;
    const now = Date.now();
    const isNew = now - sitting.to > PAUSE_MS;
    const begun = isNew ? { from: now - Math.round(performance.now()), before: 0, total: sitting.left } : {};
    sessionStorage.setItem("sitting", JSON.stringify({ ...sitting, ...begun, n: isNew ? 1 : sitting.n + 1, to: now }));
  } catch {
    // Forbidden: then the page counts what it sees.
  }
}

/** The form as it is without scripts: the server answers with both edits, brought together. */
function showBoth() {
  isOver = true;
  for (const piece of pieces) {
    const area = document.createElement("textarea");
    area.name = piece.section.dataset.name;
    area.value = textOf(piece);
    // A browser drops a first line end when it reads a page, never when it sends a form.
    area.hidden = true;
    form.append(area);
  }
  form.submit();
}

// ---------------------------------------------------------------------------------------------------------- checks

let waiting;
let asked = new AbortController();

/** The sentences of the block below their lines, in the editor that they speak of. */
function showNotes() {
  for (const piece of pieces) piece.notes = [];
  for (const { dataset, children } of checks.querySelectorAll("[data-line]")) {
    const message = [...children].find((child) => child.matches(".said")).textContent;
    pieces[Number(dataset.number)]?.notes.push({ line: Number(dataset.line), severity: dataset.severity, message });
  }
  for (const { editor, notes } of pieces) editor?.showNotes(notes);
}

async function check() {
  asked.abort();
  asked = new AbortController();
  const sent = new URLSearchParams();
  for (const piece of pieces) {
    sent.append(piece.section.dataset.name, textOf(piece));
    if (isDropped(piece)) sent.append("drop_hunk", piece.box.value);
  }
  try {
    const response = await fetch(form.dataset.check, {
      method: "POST",
      headers: { "HX-Request": "true", "HX-Request-Type": "partial" },
      body: sent,
      signal: asked.signal,
    });
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    // Piece by piece, so that only what is new is read out and a scrolled table stays where it is.
    for (const part of ["h2", "[aria-live]", ".wide", ".rebuilt"]) {
      const now = checks.querySelector(part);
      const next = page.querySelector(`#checks ${part}`);
      if (now && next && now.innerHTML !== next.innerHTML) now.replaceChildren(...next.childNodes);
    }
    showNotes();
  } catch {
    // Older, or the server is away: saving will say so.
  }
}

function changed() {
  clearTimeout(waiting);
  waiting = setTimeout(check, CHECK_MS);
  keepLater();
}

// ---------------------------------------------------------------------------------------------------------- open

function showDropped(piece) {
  piece.section.classList.toggle("dropped", isDropped(piece));
}

function open(piece) {
  if (piece.editor) return;
  const { section } = piece;
  const hadFocus = section.contains(document.activeElement) && document.activeElement.matches("textarea");
  section.querySelector("textarea").remove();
  piece.editor = openEditor({
    parent: section,
    original: piece.original,
    before: piece.before,
    folded: field === "files",
    doc: piece.start,
    language: section.dataset.language,
    label: section.dataset.label,
    onSave: save,
    onCancel: () => leave(),
    onChange: changed,
    onDrop: () => {
      if (!piece.box) return;
      piece.box.checked = !piece.box.checked;
      piece.box.dispatchEvent(new Event("change", { bubbles: true }));
      piece.box.focus();
    },
  });
  if (piece.notes.length > 0) piece.editor.showNotes(piece.notes);
  if (hadFocus) piece.editor.focus();
}

const { openEditor } = await import(form.dataset.editor);
await restore();
const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      open(pieces.find(({ section }) => section === target));
    }
  },
  { rootMargin: "600px" },
);
pieces.forEach((piece, n) => {
  piece.box?.addEventListener("change", () => {
    showDropped(piece);
    changed();
  });
  showDropped(piece);
  if (n < MOST_AT_ONCE) return open(piece);
  piece.section.addEventListener("focusin", (event) => event.target.matches("textarea") && open(piece));
  near.observe(piece.section);
});
pieces.find((piece) => !isDropped(piece))?.editor?.focus();
showNotes();
// What the page came with are the findings of the texts that stand, and these may be others.
if (field === "diff" || field === "files" || document.querySelector("#conflict, .draft")) check();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) save();
});
for (const name of ["comment", "rating"]) form.elements[name].addEventListener("input", () => keepLater());
form.addEventListener("focusout", () => keep());
for (const link of document.querySelectorAll("a[data-leave]")) link.addEventListener("click", leave);
document.querySelector("[data-discard]")?.addEventListener("click", () => {
  isOver = true;
  forgetHere();
});
document.addEventListener("visibilitychange", () => document.hidden && keep({ keepalive: true }));
window.addEventListener("pagehide", () => keep({ keepalive: true }));
// Only where the draft can be kept nowhere does the browser ask.
window.addEventListener("beforeunload", (event) => {
  if (isNew && !isOver && !keepHere({ version, texts: drafted(), at: Date.now() / 1000 })) event.preventDefault();
});
