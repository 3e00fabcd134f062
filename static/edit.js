// The edit page with CodeMirror in place of its textareas. Texts travel as JSON both ways, because a form would turn
// every line end into CRLF.
const CHECK_MS = 400;
const form = document.querySelector("#edit");
const sections = [...form.querySelectorAll("[data-text]")];
const refusal = document.querySelector("#refusal");
let editors = [];
let isSaving = false;

const isDirty = () => editors.some((editor) => editor.isDirty());

function refuse(sentence) {
  refusal.hidden = false;
  refusal.firstElementChild.textContent = sentence;
  refusal.scrollIntoView({ block: "center" });
}

function leave(event) {
  if (isDirty() && !window.confirm("Leave without saving? What you typed is lost.")) {
    event?.preventDefault();
    return;
  }
  editors = [];
  if (!event) document.querySelector("a[data-leave]").click();
}

async function save() {
  if (isSaving) return;
  isSaving = true;
  const texts = editors.map((editor) => editor.getText());
  const fields = new FormData(form);
  try {
    const response = await fetch(form.dataset.api, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        verdict: "edit",
        version: Number(fields.get("version")),
        key: fields.get("key"),
        comment: fields.get("comment"),
        rating: fields.get("rating") ? Number(fields.get("rating")) : null,
        edited: form.dataset.field === "diff" ? { hunks: texts } : { [form.dataset.field]: texts[0] },
      }),
    });
    const answer = await response.json();
    if (!response.ok) refuse(answer.error.message);
    else if (answer.decision === null) refuse(answer.message);
    else {
      editors = [];
      location.assign(form.dataset.next);
    }
  } catch {
    refuse("The server cannot be reached. Your text is still here; try again when it is back.");
  } finally {
    isSaving = false;
  }
}

// What the checks say of a text while it is typed, as the block `checks` of the page. A changed diff has no such block.
const checks = document.querySelector("#checks");
const named = form.querySelector("textarea[name^=edited_]").name;
let waiting;
let asked = new AbortController();

/** The sentences of the block below their lines; a place is `spec:12`. */
function showNotes() {
  const notes = [...checks.querySelectorAll("[data-place*=':']")].map((finding) => ({
    line: Number(finding.dataset.place.split(":")[1]),
    severity: finding.dataset.severity,
    message: finding.querySelector(".said").textContent,
  }));
  editors[0]?.showNotes(notes);
}

async function check() {
  asked.abort();
  asked = new AbortController();
  try {
    const response = await fetch(form.dataset.check, {
      method: "POST",
      headers: { "HX-Request": "true", "HX-Request-Type": "partial" },
      body: new URLSearchParams({ [named]: editors[0].getText() }),
      signal: asked.signal,
    });
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    // Piece by piece, so that only what is new is read out and a scrolled table stays where it is.
    for (const part of ["h2", "[aria-live]", ".wide"]) {
      const now = checks.querySelector(part);
      const next = page.querySelector(`#checks ${part}`);
      if (now && next && now.innerHTML !== next.innerHTML) now.replaceChildren(...next.childNodes);
    }
    showNotes();
  } catch {
    // Older, or the server is away: saving will say so.
  }
}

function checkSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(() => editors.length > 0 && check(), CHECK_MS);
}

const { openEditor } = await import(form.dataset.editor);
editors = sections.map((section) => {
  section.querySelector("textarea").remove();
  return openEditor({
    parent: section,
    original: JSON.parse(section.dataset.original),
    doc: JSON.parse(section.dataset.current),
    language: section.dataset.language,
    label: section.dataset.label,
    onSave: save,
    onCancel: () => leave(),
    onChange: () => checks && checkSoon(),
  });
});
editors[0].focus();
if (checks) showNotes();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) save();
});
for (const link of document.querySelectorAll("a[data-leave]")) link.addEventListener("click", leave);
window.addEventListener("beforeunload", (event) => isDirty() && event.preventDefault());
