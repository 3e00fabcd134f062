// The palette of commands: everything the keys do here and every page, found by a few letters. Fetched when it is first
// asked for. The pattern is WAI-ARIA's combobox with a listbox: the focus stays in the field, the arrows move the choice.
const dialog = document.querySelector("#palette");
const field = dialog.querySelector("input");
const list = dialog.querySelector("[role=listbox]");
const none = dialog.querySelector("p");
const MOST = 40;
let choices = [];
let at = 0;

const isHere = (element) => !element.disabled && isShown(element);
const find = (key) => [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find(isHere);

/** What can be done on this page, from the one table of keys: a press on the element that has the key, or its action. */
function listCommands() {
  return [...document.querySelectorAll("#sheet [data-action]")].flatMap(({ dataset, children }) => {
    const label = children[1].textContent.trim();
    const target = dataset.press && find(dataset.press);
    if (target) return [{ label, key: dataset.press, run: () => target.click() }];
    const run = dataset.action === "reason" ? null : actions[dataset.action];
    return run ? [{ label, key: dataset.press, run }] : [];
  });
}

function listPlaces() {
  const isUnnamed = (link) => !link.dataset.key;
  return [...document.querySelectorAll("#menu a")].filter(isUnnamed).map((link) => ({
    label: `Go to ${link.firstChild.textContent.trim()}`,
    run: () => link.click(),
  }));
}

/** The filter that the page shows, so that the next candidate after a visited one is the next of this filter. */
function filterHere() {
  const shown = one("#candidate[data-query]")?.dataset.query;
  if (shown !== undefined) return shown;
  if (location.pathname !== "/queue") return "?status=all";
  const query = new URLSearchParams(location.search);
  query.delete("after");
  return query.size > 0 ? `?${query}` : "";
}

/** Letters in their order, anywhere: `gre` finds "Go to Releases". Whole words come first. */
function score(label, asked) {
  const text = label.toLowerCase();
  if (text.includes(asked)) return text.startsWith(asked) ? 0 : 1;
  let from = 0;
  for (const letter of asked.replaceAll(" ", "")) {
    from = text.indexOf(letter, from) + 1;
    if (from === 0) return null;
  }
  return 2;
}

function search(asked) {
  const found = [];
  const visit = (address) => () => {
    const link = document.createElement("a");
    link.href = address;
    document.body.append(link);
    link.click();
    link.remove();
  };
  const number = asked.match(/^#?(\d{1,15})$/)?.[1];
  if (number) found.push({ label: `Open candidate #${number}`, run: visit(`/candidates/${number}${filterHere()}`) });
  const ranked = [...listCommands(), ...listPlaces()]
    .map((choice) => ({ choice, rank: score(choice.label, asked.toLowerCase()) }))
    .filter(({ rank }) => rank !== null)
    .sort((one, other) => one.rank - other.rank);
  found.push(...ranked.map(({ choice }) => choice));
  if (asked) found.push({ label: `Search the queue for “${asked}”`, run: visit(`/queue?status=all&q=${encodeURIComponent(asked)}`) });
  return found.slice(0, MOST);
}

function draw() {
  choices = search(field.value.trim());
  at = 0;
  list.replaceChildren(
    ...choices.map((choice, n) => {
      const option = document.createElement("li");
      option.id = `command-${n}`;
      option.setAttribute("role", "option");
      option.append(choice.label);
      if (choice.key) option.append(Object.assign(document.createElement("kbd"), { textContent: choice.key }));
      option.addEventListener("click", () => run(n));
      return option;
    }),
  );
  none.hidden = choices.length > 0;
  choose(0);
}

function choose(n) {
  at = choices.length === 0 ? 0 : (n + choices.length) % choices.length;
  for (const option of list.children) option.setAttribute("aria-selected", String(option.id === `command-${at}`));
  const chosen = list.children[at];
  if (chosen) field.setAttribute("aria-activedescendant", chosen.id);
  else field.removeAttribute("aria-activedescendant");
  chosen?.scrollIntoView({ block: "nearest" });
}

function run(n) {
  dialog.close();
  choices[n]?.run();
}

field.addEventListener("input", draw);
field.addEventListener("keydown", (event) => {
  const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: choices.length - 1 };
  if (event.key === "Enter") run(at);
  else if (event.key in moves && !(field.value && ["Home", "End"].includes(event.key))) choose(moves[event.key]);
  else return;
  event.preventDefault();
});
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

export function open() {
  field.value = "";
  draw();
  dialog.showModal();
  field.focus();
}
