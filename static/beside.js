// What stands beside the diff: the panel of the guideline. Fetched with its first use, or when nothing else is to do.

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
  const isOld = one("#standing").dataset.version !== one("#candidate").dataset.guideline;
  if (!panel.hidden && isOld) htmx.ajax("GET", "/guidelines", { source: panel, target: "#standing", swap: "outerHTML" });
}
