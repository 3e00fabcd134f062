// The edit page with CodeMirror in place of its textareas. Texts travel as JSON both ways, because a form would turn
// every line end into CRLF.
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
        edited: form.dataset.field === "script" ? { script: texts[0] } : { hunks: texts },
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
  });
});
editors[0].focus();

form.addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.defaultPrevented) save();
});
for (const link of document.querySelectorAll("a[data-leave]")) link.addEventListener("click", leave);
window.addEventListener("beforeunload", (event) => isDirty() && event.preventDefault());
