// Logs that are dropped on a page or chosen as a folder.
"use strict";

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
