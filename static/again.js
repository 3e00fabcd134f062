// What the review page does after its first decision: undo and redo, a reason after the fact, what comes back, and the way
// that needs the server. Fetched then, so that the first page needs less.

// ---------------------------------------------------------------- a reason after the fact

/** Gives a reason to the reject that has just left the screen; false when its moment is over. */
export function giveReason(digit) {
  const held = findHeld();
  const boxes = held && all("[name=reasons]", decided.get(held.id) ?? document);
  const code = boxes?.find((box) => box.dataset.key === String(digit))?.value;
  if (!code) return false;
  const reasons = held.reasons.includes(code) ? held.reasons.filter((one) => one !== code) : [...held.reasons, code];
  changeAct(held, { reasons, until: Date.now() + REASON_MS });
  const last = past.at(-1);
  if (last?.key === held.key) Object.assign(last, { reasons });
  remember();
  const named = boxes.filter((box) => reasons.includes(box.value)).map((box) => box.parentElement.lastChild.textContent.trim());
  const said = [saidOf(held), ...(named.length > 0 ? [named.join(", ")] : [])].join(": ");
  showToast(said, hintOf(held));
  say(said);
  setTimeout(closeReason, REASON_MS);
  return true;
}

export function closeReason() {
  if (!findHeld() && one("#candidate .hint")?.textContent === "1-9 says why") showHint("");
}

// ---------------------------------------------------------------- taking back, doing again

let undoKey = null;

export async function takeBack() {
  const act = past.at(-1);
  if (!act) {
    await takeBackLast();
    return;
  }
  const said = `Undone: #${act.id}`;
  const node = decided.get(act.id);
  if (isUnsent(act)) {
    if (!node && !(await isReached())) {
      notify(`Candidate ${act.id} can be shown again when the server is back.`);
      return;
    }
    if (!isUnsent(act)) return takeBack();
    dropAct(act);
  } else if (!keepAct({ key: token(), id: act.id, verdict: "undo", of: act.key, query: act.query })) {
    await takeBackLast();
    return;
  }
  past.pop();
  undone.push(act);
  remember();
  count(-1);
  putBack();
  if (node) {
    decided.delete(act.id);
    paint(node, `/candidates/${act.id}${act.query}`, said);
  } else await arrive(`/candidates/${act.id}${act.query}`, said);
}

/** What is on the screen comes next, as it is. */
function putBack() {
  const node = one("#candidate[data-id]");
  if (!node || !onScreen) return;
  const version = Number(node.dataset.version);
  order.unshift([onScreen.id, version]);
  fetched.set(onScreen.id, { version, node });
}

/** Takes back what the server knows and this tab does not. */
async function takeBackLast() {
  undoKey ??= token();
  inFlight += 1;
  let answer = null;
  try {
    await flush();
    if (listWaiting().length === 0) answer = await post({ verdict: "undo", key: undoKey });
  } finally {
    inFlight -= 1;
  }
  if (!answer) return isOut ? notifyOut() : notifyAway();
  undoKey = null;
  if (!answer.isStored) return notify(answer.said.error.message);
  const { candidate: { id }, bulk, said } = answer.said;
  if (bulk) {
    // Any of many may have changed: nothing that was fetched before is sure.
    order = [];
    orderedAt = -Infinity;
    fetched.clear();
    decided.clear();
  } else {
    count(-1);
    decided.delete(id);
    putBack();
  }
  await arrive(`/candidates/${id}${queryHere()}`, said || `Undone: #${id}`);
}

export function doAgain() {
  const act = undone.at(-1);
  if (!act) return notify("There is nothing to do again.");
  const form = one("#decide");
  const version = onScreen?.id === act.id && form ? Number(form.elements.version.value) : act.version;
  undone.pop();
  const { at, name, isTried, refused, ...again } = act;
  return carryOut({ ...again, key: token(), until: 0, version });
}

// ---------------------------------------------------------------- what comes back

/** What the answer to an act changes on the page. */
export function conclude({ act, isStored, said }) {
  if (isStored && act.verdict === "undo") refresh(act.id, said.candidate.version);
  else if (isStored) {
    tellReleases(act, said.releases);
    if (said.decision === null && said.message) notify(said.message);
  } else if (act.verdict !== "undo") bringBack(act);
}

/** After an undo the kept page of a candidate is of an older version; what was typed meanwhile stays. */
export async function refresh(id, version) {
  const nodes = [decided.get(id), fetched.get(id)?.node, one(`#candidate[data-id="${id}"]`)];
  for (const node of nodes.filter(Boolean)) {
    node.dataset.version = version;
    const field = one("#decide [name=version]", node);
    if (field) field.value = version;
  }
  if (fetched.has(id)) fetched.get(id).version = version;
  for (const act of undone) if (act.id === id) act.version = version;
  remember();
}

export function tellReleases(act, numbers = []) {
  if (numbers.length === 0 || past.at(-1)?.key !== act.key) return;
  const named = numbers.length === 1 ? `Release ${numbers[0]} holds` : `Releases ${numbers.slice(0, -1).join(", ")} and ${numbers.at(-1)} hold`;
  showToast(`${saidOf(act)}. ${named} examples of it as it was decided before`);
}

const isUntouched = () => !one("#decide") || (!one("#comment")?.value && !one("#given")?.value && all("[name=reasons]:checked").length === 0);

/** What was refused waits behind a link: the page that is read meanwhile stays, or the next key would fall on another. */
export function bringBack(act) {
  past = past.filter((one) => one.key !== act.key);
  remember();
  count(-1);
  decided.delete(act.id);
  forget(act.id);
  if (onScreen?.id === act.id) restore(act);
  showRefused();
}

/** Gives back everything that was typed with a decision that was refused, and says why it was. */
export async function restore(act) {
  const node = one("#candidate");
  const { refusalLine } = await loadRefused();
  if (onScreen?.id !== act.id) return;
  one(":scope > [data-refused]", node)?.remove();
  const line = refusalLine(`Your ${act.verdict} was not stored.`, [act.refused], [act]);
  line.dataset.refused = "";
  line.setAttribute("role", "alert");
  node.prepend(line);
  // From here on it is told of on this page alone, until one decides again.
  changeAct(act, { isSeen: true });
  showRefused();
  one("#comment").value = act.comment;
  one("#given").value = act.rating ?? "";
  for (const box of all("[name=reasons]", node)) box.checked = act.reasons.includes(box.value);
  if (!isUntouched()) one("#why").open = true;
}

// ---------------------------------------------------------------- a guideline that was changed

/** The guideline was changed: what is read from here on has the new one, this candidate too as long as nothing is typed. */
export async function renewGuide(id, query) {
  const isBehind = () => onScreen?.id === id && guidelineOf(one("#candidate")) < guideline;
  const isTyped = () => one("#comment")?.value || one("[name=reasons]:checked");
  if (!isBehind() || !one("#why") || isTyped()) return;
  const { node } = await fetchPart(`/candidates/${id}${query}`).catch(() => ({ node: null }));
  const fresh = node && one("#why fieldset", node);
  if (!fresh || !isBehind() || isTyped()) return;
  one("#why fieldset").replaceWith(fresh);
  one("#candidate").dataset.guideline = node.dataset.guideline;
  one("#decide [name=guideline]").value = node.dataset.guideline;
  beside?.showGuide();
  const said = `The guidelines were changed: version ${node.dataset.guideline} from here on`;
  showHint(said);
  say(`${said}.`);
}

// ---------------------------------------------------------------- a comment that is not sent yet

const KEEP_MS = 800;
// What waits to be kept, and the request that keeps it.
let remark = null;
let keeping = 0;
let sending = new AbortController();

/** Keeps comment and rating: in this browser at once, on the server when the hand rests or the field is left. */
export function keepRemarks(id, isDone) {
  const version = Number(one("#decide [name=version]").value);
  remark = { id, version, texts: { comment: one("#comment").value, rating: one("#given").value } };
  try {
    localStorage.setItem(`${REMARKS}${id}`, JSON.stringify(remark));
  } catch {
    // Full, or forbidden: the server has it soon.
  }
  clearTimeout(keeping);
  if (isDone) sendRemarks();
  else keeping = setTimeout(sendRemarks, KEEP_MS);
}

async function sendRemarks(keepalive = false) {
  clearTimeout(keeping);
  if (!remark) return;
  const { id, version, texts } = remark;
  remark = null;
  try {
    const response = await fetch(`/api/v1/candidates/${id}/draft`, {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ version, texts }),
      signal: sending.signal,
      keepalive,
    });
    if ((response.ok || response.status < 500) && remark?.id !== id) localStorage.removeItem(`${REMARKS}${id}`);
  } catch {
    // It stays here, and goes out when the candidate is on the screen again.
  }
}

/** What was decided holds them now. */
export function dropRemarks(id) {
  if (remark?.id === id) remark = null;
  sending.abort();
  sending = new AbortController();
  try {
    localStorage.removeItem(`${REMARKS}${id}`);
  } catch {
    // Forbidden; then nothing is there.
  }
}

/** What this browser kept and the server never got, of this very version. */
export function takeUpRemarks(id) {
  const kept = readAct(`${REMARKS}${id}`);
  const field = one("#comment");
  if (!kept || onScreen?.id !== id || !field) return;
  if (kept.version !== Number(one("#decide [name=version]").value)) return dropRemarks(id);
  // Newer than what the server has; what was typed on this page meanwhile is newer still.
  if (field.value !== field.defaultValue) return;
  field.value = kept.texts.comment;
  one("#given").value = kept.texts.rating;
  one("#why").open = true;
  keepRemarks(id, true);
}

window.addEventListener("pagehide", () => sendRemarks(true));

// ---------------------------------------------------------------- long lines

/** Wraps them or not, here at once and with the person from now on. */
export function turnWrap() {
  const isOff = document.documentElement.classList.toggle("no-wrap");
  say(isOff ? "Long lines go on to the right." : "Long lines are wrapped.");
  const told = new URLSearchParams({ wrap: isOff ? "no" : "yes" });
  fetch("/preferences/wrap", { method: "POST", body: told, redirect: "manual" }).catch(() => {});
}

// ---------------------------------------------------------------- place, pace

const thousands = new Intl.NumberFormat("en");

/** Which one of the sitting is on the screen; more that came in make the sitting longer, nothing makes it shorter. */
function placeHere() {
  const n_done = Math.max(0, sitting.n - sitting.before);
  const known = n_done + (isFound(sitting.query) || sitting.isCapped ? 1 : sitting.left);
  sitting.total = Math.max(sitting.total, known);
  return n_done + 1;
}

export function showPace() {
  const line = one("#pace");
  if (!line || sitting.left === null || sitting.total === null) return;
  const capped = sitting.isCapped ? "+" : "";
  const sign = one("[data-left]");
  sign.textContent = `${thousands.format(sitting.left)}${capped} ${sign.dataset.left}`;
  const said = [`${thousands.format(placeHere())} of ${thousands.format(sitting.total)}${capped} in this sitting`];
  const hours = (sitting.to - sitting.from) / 3_600_000;
  if (sitting.n >= 3 && hours > 0) {
    const pace = sitting.n / hours;
    said.push(`${thousands.format(Math.round(pace))} an hour`);
    if (!sitting.isCapped) said.push(`${lasting(sitting.left / pace)} left`);
  }
  line.textContent = `· ${said.join(" · ")}`;
}

function lasting(hours) {
  if (hours < 1 / 60) return "under a minute";
  return hours < 1.5 ? `${Math.round(hours * 60)} min` : `${thousands.format(Math.round(hours))} h`;
}

// ---------------------------------------------------------------- the editor of `e`

/** Has it here before somebody asks for it. */
export function fetchEditor() {
  const address = one("[data-editor]")?.dataset.editor;
  if (!address) return;
  const link = document.createElement("link");
  link.rel = "modulepreload";
  link.href = address;
  document.head.append(link);
}

// ---------------------------------------------------------------- the way that needs the server

/** The way that needs the server: everything that waits is sent first, so that it shows what is left.
 *
 * Where the act that leads there was refused meanwhile, the page stays that says why (`restore`).
 */
export async function arrive(address, said = "", hint = "", act = null) {
  inFlight += 1;
  try {
    await flush();
    if (listWaiting().length > 0) throw new Error("away");
    if (act && listRefused().some(({ key }) => key === act.key)) return true;
    const came = await fetchPart(address);
    forget(Number(came.node.dataset.id));
    const told = one(".toast:not([hidden])", came.node)?.textContent;
    paint(came.node, came.address, told ?? said, hint);
    return true;
  } catch (error) {
    // A refusal of this very address is final: trying again would say the same.
    if (error.message === "401") {
      notifyOut();
      return false;
    }
    if (/^4/.test(error.message)) {
      notify(`The server answered ${error.message}.`);
      return false;
    }
    showAway(address, said);
    return false;
  } finally {
    inFlight -= 1;
  }
}

/** Stands where a candidate would while the server is away; goes on by itself. */
function showAway(address, said) {
  if (!one("#candidate[data-away]")) {
    const node = one("#away").content.firstElementChild.cloneNode(true);
    node.dataset.query = queryHere();
    countWaiting(node);
    noteOpen();
    one("#candidate").replaceWith(node);
    htmx.process(node);
    showToast(said);
    settle(node);
  }
  countWaiting(one("#candidate"));
  one("#candidate").dataset.away = address;
  setTimeout(() => one(`#candidate[data-away="${CSS.escape(address)}"]`) && inFlight === 0 && arrive(address, said), AGAIN_MS);
}

function countWaiting(node) {
  const n = listWaiting().length;
  const said = n === 1 ? "1 decision waits" : `${n} decisions wait`;
  one("[data-waiting]", node).textContent = said;
  one("[data-goes]", node).textContent = n === 1 ? "goes" : "go";
  node.dataset.says = `No further candidate is here; ${said}.`;
}

document.addEventListener("outbox:answer", (event) => {
  later("conclude", event.detail);
  fillSoon();
});
