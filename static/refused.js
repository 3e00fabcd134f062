// What was not stored and why, and the way to a new login. Fetched when there is such a thing to say.

const KEPT_MS = 604_800_000;

/** A line of what was not stored, with the button that forgets it. */
export function refusalLine(said, why, acts) {
  const line = one("#refusal-line").content.firstElementChild.cloneNode(true);
  one("strong", line).textContent = said;
  one("span", line).append(...why);
  one("button", line).addEventListener("click", () => {
    acts.forEach(dropAct);
    line.remove();
    show();
  });
  return line;
}

function refusalLink(act, said) {
  const link = document.createElement("a");
  link.href = `/candidates/${act.id}${act.query ?? ""}`;
  link.textContent = said;
  return link;
}

/** Where candidates are looked at, one line for all that was refused and not looked at since; each is told of on its own. */
export function show() {
  for (const act of listRefused()) if (act.isSeen && Date.now() - act.at > KEPT_MS) localStorage.removeItem(act.name);
  const shown = one("#candidate");
  const acts = shown || location.pathname === "/queue" ? listRefused().filter((act) => !act.isSeen && String(act.id) !== shown?.dataset.id) : [];
  const why = acts.length === 1 ? [`${acts[0].refused} `, refusalLink(acts[0], "Look at it again")]
    : acts.flatMap((act, at) => [at ? ", " : "", refusalLink(act, `#${act.id} (${act.verdict})`)]);
  const said = acts.length === 1 ? `Your ${acts[0].verdict} of #${acts[0].id} was not stored.` : `${acts.length} of your decisions were not stored:`;
  const sign = acts.map((act) => act.name).join();
  // Said once, and not with every candidate.
  if (one("#refused").dataset.acts === sign) return;
  one("#refused").dataset.acts = sign;
  one("#refused").replaceChildren(...(acts.length > 0 ? [refusalLine(said, why, acts)] : []));
}

/** A login that ended: the way to a new one, which comes back to this very page. */
export function tellOut() {
  for (const toast of all(".toast")) toast.hidden = true;
  if (one("#notice [data-login]")) return;
  notify("Your login has ended. What you decided waits here, and is sent once you have logged in again.");
  const link = document.createElement("a");
  link.dataset.login = "";
  link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = "Log in";
  one("#notice .notice").append(" ", link);
}
