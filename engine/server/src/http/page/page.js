// What the page does: it reads the recommendations every few seconds, shows them, and sends what a person asks for.
//
// Vocabulary. A *recommendation* is the object of the HTTP interface, as it came. A *card* is its place on the page: a row of the table
// and the details that unfold below it. A *verb* is what a person can ask of a recommendation.
//
// How it works:
//   1. `read` fetches the list, and again POLL_MS after the answer came; not while the tab is hidden or updates are paused.
//   2. `show` keeps one card for each recommendation and hands it what it reads. A card touches only what has changed, so that the
//      focus, a selection, an open card and typed text stay as they are.
//   3. An open card reads its statements and decisions when its recommendation has changed.
//   4. A verb's answer is the recommendation as it is now. Lists that were asked for before it came are older, and are dropped.
//
// Invariant: what the server says gets onto the page as text (`textContent`, `append`), never as HTML. Statements, names and reasons
// are written by strangers.

const POLL_MS = 4_000;
/// An answer to a read that takes longer is given up; verbs take as long as they take.
const READ_TIMEOUT_MS = 10_000;
/// Verbs that run at a time. A browser opens six connections to a server, and the list needs one of them.
const RUNNING_MAX = 4;
/// Longer statements are folded.
const QUERY_CHARS_MAX = 160;

const MODES = {
  off: "nothing runs, nothing is written",
  shadow: "observes and predicts, changes nothing",
  advise: "tries on clones, changes what you approve",
  auto: "also changes the listed kinds by itself",
};

/// How a state looks, and what a person does next.
const STATES = {
  observed: ["open", "Nothing yet: no change is named for it."],
  proposed: ["open", "Rehearse it: it is tried on a clone, and the database is not changed. Its worth is an estimate until then."],
  rehearsing: ["busy", "Wait: it is being tried on a clone."],
  ready: ["ask", "Approve it to run the command, or dismiss it. Once made it is watched, and taken back if it does not keep its promise."],
  applying: ["busy", "Wait: the command is running."],
  watching: ["good", "Nothing: it is made, and is compared with its promise. Pin it to keep it whatever the watch says; revert it to take it back."],
  kept: ["good", "Nothing: it kept its promise. Revert it to take it back."],
  rejected: ["bad", "Nothing: it was not shown to pay. Rehearse it again when the workload has changed."],
  dismissed: ["end", "Nothing: it is not proposed again. To try it all the same, rehearse its command as an index of your own."],
  reverted: ["bad", "Nothing: it was taken back. Rehearse it again when the workload has changed."],
  expired: ["end", "Rehearse it again if it is still wanted: nobody approved it in time."],
  failed: ["bad", "Read why, put it right, then rehearse it again."],
};

const DOING = {
  rehearse: "Rehearsing on a clone",
  approve: "Making the change",
  dismiss: "Dismissing",
  revert: "Taking it back",
  pin: "Pinning",
  unpin: "Unpinning",
};

const part = (id) => document.getElementById(id);

// ---- Numbers, each with its unit ----

const NONE = "-";
const fixed = [0, 1, 2].map((digits) =>
  new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const count = (value, noun) => (isNumber(value) ? `${fixed[0].format(value)} ${noun}${value === 1 ? "" : "s"}` : NONE);

/// Digits of a speed-up: two where the second decides, near 1x.
const digitsOf = (factor) => (factor < 1.995 ? 2 : factor < 99.95 ? 1 : 0);
const times = (factor, digits = digitsOf(factor)) => `${fixed[digits].format(factor)}x`;

/// The point and the interval of a speed-up, with the same digits.
function speedupText({ speedup, speedup_low: low, speedup_high: high }) {
  if (!isNumber(speedup)) return null;
  if (!isNumber(low) || !isNumber(high)) return { point: times(speedup), interval: "" };
  const digits = digitsOf(Math.min(speedup, low));
  return {
    point: times(speedup, digits),
    interval: `(${fixed[digits].format(low)} to ${fixed[digits].format(high)})`,
  };
}

function milliseconds(ms) {
  if (!isNumber(ms)) return NONE;
  if (ms >= 9_999.5) return `${fixed[1].format(ms / 1_000)} s`;
  return `${fixed[ms < 9.995 ? 2 : ms < 999.5 ? 1 : 0].format(ms)} ms`;
}

/// A megabyte is 10^6 bytes, as on the command line.
function bytes(size) {
  if (!isNumber(size)) return NONE;
  const inUnits = (unit) => fixed[size / unit < 99.95 ? 1 : 0].format(size / unit);
  if (size >= 999.5e6) return `${inUnits(1e9)} GB`;
  if (size >= 99_950) return `${inUnits(1e6)} MB`;
  return size >= 1_000 ? `${inUnits(1e3)} kB` : `${fixed[0].format(size)} B`;
}

function percent(value) {
  if (!isNumber(value)) return NONE;
  const text = fixed[Math.abs(value) < 9.95 ? 1 : 0].format(Math.abs(value));
  return `${Number(text) === 0 ? "" : value < 0 ? "-" : "+"}${text} %`;
}

const seconds = (value) => (isNumber(value) ? `${fixed[value < 999.95 ? 1 : 0].format(value)} s` : NONE);

/// "2026-11-29 10:25:20", of a time in UTC.
function instant(text) {
  const time = new Date(text ?? NaN);
  return Number.isNaN(time.getTime()) ? NONE : time.toISOString().slice(0, 19).replace("T", " ");
}

/// How long until then, in the greatest whole unit.
function until(text) {
  const left = new Date(text ?? NaN) - Date.now();
  if (Number.isNaN(left)) return NONE;
  if (left <= 0) return "now";
  const minutes = Math.floor(left / 60_000);
  if (minutes < 60) return `${Math.max(minutes, 1)} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1_440)} d`;
}

/// What it costs, as figures that do not break across lines.
function costParts(item) {
  const costs = [];
  if (isNumber(item.size_bytes) && item.size_bytes > 0) costs.push(bytes(item.size_bytes));
  if (isNumber(item.memory_bytes) && item.memory_bytes > 0) costs.push(`${bytes(item.memory_bytes)} memory`);
  if (isNumber(item.write_cost_pct)) costs.push(`inserts ${percent(item.write_cost_pct)}`);
  return costs.length === 0 ? [NONE] : costs.flatMap((cost, at) => {
    const isLast = at === costs.length - 1;
    return [make("span", { class: "figure" }, isLast ? cost : `${cost},`), isLast ? "" : " "];
  });
}

// ---- Elements ----

/// An element with attributes and children; a child that is no node is text.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const shown = new WeakMap();

/// Fills a node with what `children` makes, unless it shows the same already.
function fill(node, key, children = () => [key]) {
  if (shown.get(node) === key) return;
  shown.set(node, key);
  node.replaceChildren(...children());
}

const SVG = "http://www.w3.org/2000/svg";

/// The interval of a speed-up as a bar between 0.5x and 10x, logarithmic, with a line at 1x. The text beside it says the same.
function bar({ speedup, speedup_low: low, speedup_high: high }) {
  const width = 96;
  const at = (factor) => {
    const share = Math.log(factor / 0.5) / Math.log(20);
    return Math.min(Math.max(share, 0.02), 0.98) * width;
  };
  const draw = (tag, attributes) => {
    const shape = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    return shape;
  };
  const verdict = low >= 1.1 ? "faster" : high < 1 ? "slower" : "same";
  const svg = draw("svg", { class: `bar ${verdict}`, viewBox: `0 0 ${width} 14`, width, height: 14, "aria-hidden": "true" });
  svg.append(
    draw("line", { class: "scale", x1: 0, x2: width, y1: 7, y2: 7 }),
    draw("line", { class: "one", x1: at(1), x2: at(1), y1: 1, y2: 13 }),
    draw("line", { class: "interval", x1: at(low), x2: Math.max(at(high), at(low) + 1), y1: 7, y2: 7 }),
    draw("circle", { cx: at(speedup), cy: 7, r: 3 }),
  );
  return svg;
}

/// The children of a cell that shows a speed-up: the bar, the point, the interval.
function speedupParts(item) {
  const text = speedupText(item);
  if (!text) {
    if (!isNumber(item.estimated_speedup)) return [NONE];
    return [make("span", { class: "quiet" }, `${NONE} (estimated ${times(item.estimated_speedup)})`)];
  }
  const words = make("span", { class: "factor" }, make("strong", {}, text.point), ` ${text.interval}`);
  return text.interval ? [words, bar(item)] : [words];
}

/// A statement's text; a long one is folded behind its beginning.
function queryParts(query) {
  if (query.length <= QUERY_CHARS_MAX) return [make("code", {}, query)];
  const start = `${Array.from(query).slice(0, QUERY_CHARS_MAX - 40).join("")}…`;
  return [make("details", {}, make("summary", {}, make("code", {}, start)), make("code", {}, query))];
}

function cell(label, name, ...children) {
  return make("td", { role: "cell", class: name, "data-label": label }, ...children);
}

// ---- Asking the server ----

/// What the server answered instead of what was asked for, or that it did not.
class Refusal extends Error {
  constructor({ message, detail, hint, sqlstate }) {
    super(message);
    Object.assign(this, { detail, hint, sqlstate });
  }
}

const silence = (isVerb) => new Refusal({
  message: "the server did not answer",
  hint: isVerb
    ? "Whether it was done is not known: its state says so once the server answers again."
    : "Look whether aion serve still runs. This page tries again by itself.",
});

/// GET, or POST where there is a body. Paths are relative, so that the page works below a prefix.
async function ask(path, body) {
  const options = { cache: "no-store", headers: { accept: "application/json" } };
  if (body === undefined) {
    options.signal = AbortSignal.timeout(READ_TIMEOUT_MS);
  } else {
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    options.headers["content-type"] = "application/json";
  }
  let response;
  let answer;
  try {
    response = await fetch(path, options);
    answer = await response.json();
  } catch {
    // A refusal without JSON still has its status.
    if (!response || response.ok) throw silence(body !== undefined);
    answer = {};
  }
  if (response.ok) return answer;
  throw new Refusal(answer.error ?? { message: `the server answered with status ${response.status}` });
}

// ---- Messages ----

/// Shows a message in its live region. The region itself is always there: one that comes with its text is not read out everywhere.
function message(id, ...parts) {
  const region = part(id);
  region.replaceChildren(...parts);
  region.parentElement.classList.toggle("empty", parts.length === 0);
  region.nextElementSibling.hidden = parts.length === 0;
}

/// An error stays until a person has closed it or asked for something else: what is said meanwhile stands beside it.
const say = (text) => message("said", make("p", {}, text));

function complain(doing, refusal) {
  const lines = [make("p", {}, make("strong", {}, `${doing}: `), refusal.message)];
  if (refusal.detail) lines.push(make("p", {}, refusal.detail));
  if (refusal.hint) lines.push(make("p", { class: "hint" }, refusal.hint));
  if (refusal.sqlstate) lines.push(make("p", { class: "quiet" }, `SQLSTATE ${refusal.sqlstate}`));
  message("error", ...lines);
  part("error").dataset.of = doing;
}

// ---- Progress ----

/// What runs: a node that shows for how long, with the words before it.
const running = new Map();
let ticker = null;

function tick() {
  for (const [node, { words, since }] of running) node.textContent = `${words}, ${Math.floor((performance.now() - since) / 1_000)} s`;
}

/// Runs `work`, unless the area is busy already; meanwhile the buttons are off, the area is busy and `progress` says for how long. A
/// refusal is shown under the name of what was `asked`.
///
/// The buttons get aria-disabled instead of disabled: a disabled button loses the focus.
async function busy({ area, buttons, progress, words, asked }, work) {
  if (area.getAttribute("aria-busy") === "true") return;
  if (running.size >= RUNNING_MAX) {
    complain(asked, new Refusal({ message: `${RUNNING_MAX} requests are running already`, hint: "Wait until one of them is done." }));
    return;
  }
  message("error");
  message("said");
  area.setAttribute("aria-busy", "true");
  for (const button of buttons) button.setAttribute("aria-disabled", "true");
  running.set(progress, { words, since: performance.now() });
  ticker ??= setInterval(tick, 1_000);
  tick();
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    complain(asked, error);
  } finally {
    running.delete(progress);
    if (running.size === 0) ticker = clearInterval(ticker) ?? null;
    area.setAttribute("aria-busy", "false");
    for (const button of buttons) button.removeAttribute("aria-disabled");
  }
}

// ---- Cards ----

class Card {
  constructor(id) {
    this.id = id;
    this.item = null;
    /// The recommendation, as text, whose statements and decisions are shown; null before the first.
    this.detailed = null;
    const copy = part("recommendation").content.cloneNode(true);
    [this.row, this.below] = copy.children;
    this.parts = {};
    for (const node of copy.querySelectorAll("[data-part]")) this.parts[node.dataset.part] = node;
    this.unfold = this.row.querySelector(".unfold");
    this.verbs = this.below.querySelector(".verbs");
    this.buttons = [...this.verbs.querySelectorAll("[data-verb]")];
    this.name();
    this.listen();
  }

  /// Ties the elements of this card together: who controls and who names whom.
  name() {
    const { parts } = this;
    this.row.id = `${this.id}`;
    this.below.id = `details-${this.id}`;
    this.unfold.setAttribute("aria-controls", this.below.id);
    for (const name of ["title", "statements-title", "decisions-title"]) parts[name].id = `${name}-${this.id}`;
    this.below.querySelector(".details").setAttribute("aria-labelledby", parts.title.id);
    this.verbs.setAttribute("aria-labelledby", parts.title.id);
    this.below.querySelector(".statements").setAttribute("aria-labelledby", parts["statements-title"].id);
    this.below.querySelector(".decisions").setAttribute("aria-labelledby", parts["decisions-title"].id);
    parts.id.textContent = `${this.id}`;
  }

  listen() {
    this.row.addEventListener("click", (event) => {
      // A click that ends a selection is none.
      if (event.target.closest(".unfold") || getSelection().isCollapsed) this.toggle();
    });
    for (const button of this.buttons) button.addEventListener("click", () => this.press(button.dataset.verb));
    for (const button of this.below.querySelectorAll("[data-copies]")) {
      // Browsers lend the clipboard to pages of this machine or of TLS only.
      button.hidden = !navigator.clipboard;
      button.addEventListener("click", () => this.copy(button.dataset.copies));
    }
  }

  get isOpen() {
    return !this.below.hidden;
  }

  toggle(open = !this.isOpen) {
    this.below.hidden = !open;
    this.unfold.setAttribute("aria-expanded", `${open}`);
    this.row.classList.toggle("open", open);
    if (!open) return;
    history.replaceState(null, "", `#${this.id}`);
    this.detail();
  }

  async copy(name) {
    try {
      await navigator.clipboard.writeText(this.parts[name].textContent);
      say(`Copied from recommendation ${this.id}.`);
    } catch {
      complain("Copying", new Refusal({ message: "the browser does not lend its clipboard", hint: "Select the text and copy it." }));
    }
  }

  /// Shows a recommendation as it is now.
  show(item) {
    this.item = item;
    const { parts } = this;
    fill(parts.kind, item.kind);
    fill(parts.state, item.state);
    parts.pinned.hidden = !item.pinned;
    parts.state.dataset.looks = STATES[item.state]?.[0] ?? "open";
    fill(parts.object, item.object ?? NONE);
    fill(parts.command, item.command ?? "");
    fill(parts.speedup, JSON.stringify([item.speedup, item.speedup_low, item.speedup_high, item.estimated_speedup]), () => speedupParts(item));
    fill(parts.worst, isNumber(item.worst_speedup) ? times(item.worst_speedup) : NONE);
    fill(parts.cost, JSON.stringify([item.size_bytes, item.memory_bytes, item.write_cost_pct]), () => costParts(item));
    fill(parts.samples, count(item.samples, "pair"));
    fill(parts.expires, until(item.expires_at));
    this.showDetails();
    if (this.isOpen) this.detail();
  }

  showDetails() {
    const { item, parts } = this;
    fill(parts.title, item.object ? `Recommendation ${this.id}: ${item.object}` : `Recommendation ${this.id}`);
    fill(parts.why, item.state_reason ? `${item.state}: ${item.state_reason}` : item.state);
    fill(parts.next, STATES[item.state]?.[1] ?? NONE);
    fill(parts["command-text"], item.command || NONE);
    fill(parts["undo-text"], item.undo_command || "Nothing to undo.");
    const facts = (node, pairs) => fill(node, JSON.stringify(pairs), () =>
      pairs.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value))));
    facts(parts.measured, measuredFacts(item));
    facts(parts.course, courseFacts(item));
    this.showVerbs();
  }

  showVerbs() {
    const focused = this.verbs.contains(document.activeElement) ? document.activeElement : null;
    for (const button of this.buttons) button.hidden = !this.item.verbs.includes(button.dataset.verb);
    const rehearse = this.buttons.find((button) => button.dataset.verb === "rehearse");
    fill(rehearse, this.item.rehearsed_at ? "Rehearse again" : "Rehearse");
    this.parts.none.hidden = this.item.verbs.length > 0 || !this.parts.progress.hidden;
    // What cannot be asked any more takes the focus with it: it goes to the heading of the same card.
    if (focused?.hidden) this.parts.title.focus({ preventScroll: true });
  }

  /// Reads statements and decisions, where those on the page are of an older state.
  async detail() {
    const { parts } = this;
    const wanted = JSON.stringify(this.item);
    if (this.detailed === wanted || this.isDetailing) return;
    this.isDetailing = true;
    if (this.detailed === null) {
      for (const name of ["statements", "decisions"]) fill(parts[name], "reading", () => [emptyRow("Reading.")]);
    }
    let isRead = false;
    try {
      const { statements, decisions } = await ask(`v1/recommendations/${this.id}`);
      this.detailed = wanted;
      isRead = true;
      parts.trouble.hidden = true;
      fill(parts.statements, JSON.stringify([statements, this.item.worst_queryid]), () => statementRows(statements, this.item));
      fill(parts.decisions, JSON.stringify(decisions), () => decisionRows(decisions));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      parts.trouble.hidden = false;
      fill(parts.trouble, `Statements and decisions could not be read: ${error.message}`);
    } finally {
      this.isDetailing = false;
    }
    // It may have changed meanwhile. What failed is tried again with the next list.
    if (isRead && this.isOpen) this.detail();
  }

  async press(verb) {
    if (this.verbs.getAttribute("aria-busy") === "true") return;
    const body = {};
    if (verb === "dismiss") {
      const reason = await askReason(this.item);
      if (reason === null) return;
      body.reason = reason;
    }
    const { progress, none } = this.parts;
    progress.hidden = false;
    none.hidden = true;
    const words = DOING[verb];
    const asked = `${verb[0].toUpperCase()}${verb.slice(1)} ${this.id}`;
    await busy({ area: this.verbs, buttons: this.buttons, progress, words, asked }, async () => {
      const answer = await ask(`v1/recommendations/${this.id}/${verb}`, body);
      accept(answer.recommendation);
    });
    progress.hidden = true;
    none.hidden = this.item.verbs.length > 0;
    read();
  }
}

function measuredFacts(item) {
  const speedup = speedupText(item);
  const worst = isNumber(item.worst_speedup) ? times(item.worst_speedup) : NONE;
  const equal = typeof item.results_equal !== "boolean" ? NONE : item.results_equal ? "equal" : "not equal";
  return [
    ["Before", milliseconds(item.before_ms)],
    ["After", milliseconds(item.after_ms)],
    ["Speed-up", speedup ? `${speedup.point} ${speedup.interval}` : NONE],
    ["Estimated", isNumber(item.estimated_speedup) ? times(item.estimated_speedup) : NONE],
    ["Worst", item.worst_queryid ? `${worst}, statement ${item.worst_queryid}` : worst],
    ["Results", equal],
    ["Samples", count(item.samples, "pair")],
    ["Size", bytes(item.size_bytes)],
    ["Build", milliseconds(item.build_ms)],
    ["Inserts", `time ${percent(item.write_cost_pct)}, log ${percent(item.write_bytes_pct)}`],
    ["Memory", bytes(item.memory_bytes)],
  ];
}

function courseFacts(item) {
  const facts = [
    ["From", item.origin],
    ["Calls", count(item.calls, "call")],
    ["Created", instant(item.created_at)],
    ["Rehearsed", instant(item.rehearsed_at)],
    ["Decided", item.decided_at && item.decided_by ? `${instant(item.decided_at)} by ${item.decided_by}` : instant(item.decided_at)],
    ["Applied", instant(item.applied_at)],
    ["Expires", instant(item.expires_at)],
    ["Pinned", item.pinned ? "yes" : "no"],
  ];
  return facts.filter(([, value]) => value && value !== NONE);
}

const emptyRow = (text) => make("tr", { role: "row" }, make("td", { role: "cell", colspan: "9", class: "quiet" }, text));

function statementRows(statements, item) {
  if (statements.length === 0) {
    return [emptyRow(item.rehearsed_at ? "No statement of the workload could be tried." : "Not rehearsed yet.")];
  }
  return statements.map((one) => {
    const head = make("th", { scope: "row", role: "rowheader", class: "query" }, ...queryParts(one.query));
    head.append(make("span", { class: "quiet queryid" }, one.queryid));
    const calls = cell("Calls", "number", count(one.calls, "call"));
    if (one.excluded) {
      const why = cell("Left out", "left-out quiet", `left out: ${one.excluded}`);
      why.setAttribute("colspan", "5");
      return make("tr", { role: "row" }, head, calls, why);
    }
    const speedup = cell("Speed-up (95 %)", "speedup", ...speedupParts(one));
    const equal = `${fixed[0].format(one.equal)} of ${fixed[0].format(one.compared)}`;
    if (one.queryid === item.worst_queryid && statements.length > 1) speedup.querySelector(".factor")?.append(" ", make("span", { class: "tag" }, "worst"));
    return make("tr", { role: "row" },
      head,
      calls,
      cell("Before", "number", milliseconds(one.before_ms)),
      cell("After", "number", milliseconds(one.after_ms)),
      speedup,
      cell("Samples", "number", count(one.pairs, "pair")),
      cell("Results equal", one.equal === one.compared ? "number" : "number differs", equal));
  });
}

function decisionRows(decisions) {
  if (decisions.length === 0) return [emptyRow("None yet.")];
  return decisions.map((one) => make("tr", { role: "row" },
    make("th", { scope: "row", role: "rowheader", class: "seq" }, `${one.seq}`),
    cell("At", "at", instant(one.at)),
    cell("State", "move", one.from_state ? `${one.from_state} → ${one.to_state}` : one.to_state),
    cell("Who", "actor", one.actor),
    cell("Reason", "reason", one.reason || NONE),
    cell("Hash", "hash", make("code", {}, one.hash))));
}

// ---- The dialog ----

/// Asks why; null where the person thinks better of it.
function askReason(item) {
  const dialog = part("dismissal");
  const reason = part("dismissal-reason");
  part("dismissal-title").textContent = `Dismiss recommendation ${item.id}?`;
  part("dismissal-what").textContent = item.command || item.object;
  reason.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  reason.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "dismiss" ? reason.value.trim() : null), { once: true });
  });
}

function listenToDialog() {
  const dialog = part("dismissal");
  const reason = part("dismissal-reason");
  reason.addEventListener("input", () => reason.setCustomValidity(""));
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (reason.value.trim()) {
      dialog.close("dismiss");
    } else {
      reason.setCustomValidity("Say why in a word or two.");
      reason.reportValidity();
    }
  });
  part("dismissal-cancel").addEventListener("click", () => dialog.close(""));
}

// ---- The list ----

const cards = new Map();
/// Counts the answers to verbs: a list that was asked for before the last of them is too old.
let accepted = 0;

function cardOf(id) {
  let card = cards.get(id);
  if (!card) {
    card = new Card(id);
    cards.set(id, card);
  }
  return card;
}

/// Puts the cards into the table, in the order of their ids, moving none that is in its place.
function place() {
  const rows = part("rows");
  let next = rows.firstElementChild;
  for (const id of [...cards.keys()].sort((one, two) => one - two)) {
    const { row, below } = cards.get(id);
    if (next === row) {
      next = below.nextElementSibling;
    } else {
      rows.insertBefore(row, next);
      rows.insertBefore(below, next);
    }
  }
}

/// Takes in a recommendation that a verb answered with.
function accept(item) {
  accepted += 1;
  cardOf(item.id).show(item);
  place();
  summarise();
  say(`Recommendation ${item.id} is ${item.state}${item.pinned ? ", pinned" : ""}${item.state_reason ? `: ${item.state_reason}` : ""}.`);
}

function show({ mode, ai_cpu_seconds: cpu, recommendations }) {
  fill(part("mode"), mode);
  fill(part("mode-meaning"), MODES[mode] ?? "");
  fill(part("cpu"), seconds(cpu));
  const moves = [];
  for (const item of recommendations) {
    const card = cardOf(item.id);
    if (card.item && card.item.state !== item.state) moves.push(`Recommendation ${item.id} is ${item.state}.`);
    card.show(item);
  }
  const ids = new Set(recommendations.map((item) => item.id));
  for (const [id, card] of cards) {
    if (ids.has(id)) continue;
    card.row.remove();
    card.below.remove();
    cards.delete(id);
  }
  place();
  part("nothing").hidden = cards.size > 0;
  if (cards.size === 0) fill(part("nothing-text"), emptyText(mode));
  summarise();
  if (moves.length > 0) say(moves.join(" "));
}

function emptyText(mode) {
  if (mode === "off") return "No recommendations: the mode is off, so nothing is observed. Start the server with --ai-mode advise.";
  if (mode === "shadow") return "No recommendations: the mode is shadow, so what runs is only observed. Start the server with --ai-mode advise.";
  return "No recommendations yet. They come from the statements that run: let the database work for a while, or try an index of your own above.";
}

/// "3 recommendations: 1 ready, 2 rejected".
function summarise() {
  const states = new Map();
  for (const { item } of cards.values()) states.set(item.state, (states.get(item.state) ?? 0) + 1);
  const each = Object.keys(STATES).filter((state) => states.has(state)).map((state) => `${states.get(state)} ${state}`);
  fill(part("summary"), cards.size === 0 ? "" : `${count(cards.size, "recommendation")}: ${each.join(", ")}`);
  const ready = states.get("ready") ?? 0;
  document.title = `${ready > 0 ? `${ready} ready - ` : ""}Recommendations - Aion`;
}

// ---- Reading, again and again ----

const READING = "Reading the recommendations";

let timer = null;
let isReading = false;
let isPaused = false;
let isLost = false;

/// Reads the list, now; a call while it is being read makes it read once more.
async function read() {
  clearTimeout(timer);
  if (isReading) return;
  isReading = true;
  const before = accepted;
  try {
    const list = await ask("v1/recommendations");
    if (before === accepted) show(list);
    document.body.classList.remove("unread");
    if (isLost && part("error").dataset.of === READING) message("error");
    isLost = false;
    fill(part("updated"), new Date().toISOString().slice(11, 19));
    part("updated").classList.remove("lost");
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    // Said once, not every few seconds.
    if (!isLost) complain(READING, error);
    isLost = true;
    part("updated").classList.add("lost");
  } finally {
    isReading = false;
    part("recommendations").setAttribute("aria-busy", "false");
    clearTimeout(timer);
    if (before !== accepted) timer = setTimeout(read, 0);
    else if (!document.hidden && !isPaused) timer = setTimeout(read, POLL_MS);
  }
}

function listenToPage() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!isPaused) read();
  });
  part("pause").addEventListener("click", () => {
    isPaused = !isPaused;
    part("pause").setAttribute("aria-pressed", `${isPaused}`);
    if (isPaused) clearTimeout(timer);
    else read();
  });
  for (const button of document.querySelectorAll("[data-closes]")) {
    button.addEventListener("click", () => message(button.dataset.closes));
  }
}

function listenToIdea() {
  const form = part("idea");
  const sql = part("idea-sql");
  const help = part("idea-help");
  const usual = help.textContent;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const buttons = form.querySelectorAll("button");
    busy({ area: form, buttons, progress: help, words: DOING.rehearse, asked: "Rehearse" }, async () => {
      const typed = sql.value;
      const { recommendation } = await ask("v1/recommendations", { sql: typed.trim() });
      accept(recommendation);
      cards.get(recommendation.id).toggle(true);
      if (sql.value === typed) sql.value = "";
    }).finally(() => {
      if (form.getAttribute("aria-busy") === "false") help.textContent = usual;
      read();
    });
  });
  // Enter is a new line in a statement.
  sql.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

/// Opens the recommendation that the address names: http://127.0.0.1:8080/#17
function followAddress() {
  const card = cards.get(Number(location.hash.slice(1)));
  if (!card) return;
  card.toggle(true);
  card.row.scrollIntoView();
}

listenToPage();
listenToDialog();
listenToIdea();
addEventListener("hashchange", followAddress);
await read();
followAddress();
