"use strict";
// One item at a time. Texts come as JSON and are set as text, each as one text node, and marks are
// painted over it, so nothing of a text is ever markup. Offsets are code points everywhere but at the
// edge of the page, where the browser counts UTF-16 units: `toUnits` and `toPoints`.

const $ = (id) => document.getElementById(id);
const make = (tag, props = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
};
const token = decodeURIComponent(location.hash.slice(1));
const key = (what) => "glider-" + what + "-" + state.run + "-" + state.person;

let state = null; // what the server says of this person's list
let at = -1; // the number of the visit that is shown
let item = null;
let own = emptyAnswer();
let verdict = {};
let opened = 0; // when the item was opened, for the time it takes
let visible = 0; // milliseconds it was visible before
let busy = false; // between a save and what comes after it nothing can be answered
let typed = "";
let typedAt = 0;

const SAID = ["yes", "partly", "no", "cannot tell"];
const ASKED = [["reason_right", "Is the reason right?"], ["marks_right", "Are the marks right?"], ["score_right", "Is the score right?"]];
const ASKED_OF_PAIR = [...ASKED.slice(0, 2), ["score_right", "Is the choice right?"]];

function emptyAnswer() {
  return { score: null, preferred: null, spans: [], note: "", questions: {} };
}

// ---- code points and UTF-16 units

function toPoints(text, unit) {
  let points = 0;
  for (let i = 0; i < unit; points += 1) i += text.codePointAt(i) > 0xffff ? 2 : 1;
  return points;
}

function toUnits(text, point) {
  let unit = 0;
  for (let n = 0; n < point && unit < text.length; n += 1) unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
  return unit;
}

function slice(text, start, end) {
  return text.slice(toUnits(text, start), toUnits(text, end));
}

// ---- the server

async function ask(path, body) {
  const response = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: { Authorization: "Bearer " + token, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
  const answer = await response.json().catch(() => ({ error: "the server gave no answer" }));
  if (!response.ok) throw Object.assign(new Error(answer.error || response.statusText), { status: response.status });
  return answer;
}

// What is kept in this browser; in the page alone where the browser keeps nothing.
const memory = {};

function kept(what) {
  try { return JSON.parse(localStorage.getItem(key(what))) ?? memory[what] ?? null; } catch { return memory[what] ?? null; }
}

function keep(what, value) {
  memory[what] = value;
  try {
    if (value === null) localStorage.removeItem(key(what)); else localStorage.setItem(key(what), JSON.stringify(value));
  } catch { /* full or closed: `memory` has it */ }
}

const unsent = () => kept("unsent") || [];

let sending = Promise.resolve();

// Keeps the answer in this browser first, then sends all that is kept, in order. The server keeps an
// answer that is sent twice once; what it will never take stays here under "refused".
function send(answer) {
  if (answer) keep("unsent", [...unsent(), answer]);
  sending = sending.then(async () => {
    let last = null;
    for (const one of unsent()) {
      try {
        last = await ask("api/answer", one);
        settle(one, last);
      } catch (error) {
        if (![404, 409, 410, 413, 422].includes(error.status)) {
          tell("Not saved yet: " + (error.status ? error.message : "no connection") + ". It is kept here and sent again.", true);
          return null;
        }
        keep("refused", [...(kept("refused") || []), one]);
        say("This answer was not taken: " + error.message + ". A copy is kept in this browser.");
        tell("", false);
        last = null;
      }
      keep("unsent", unsent().filter((other) => other.id !== one.id));
    }
    return last;
  });
  return sending;
}

function settle(sent, answered) {
  const visit = state.visits.find((one) => one.id === sent.visit);
  if (visit) {
    visit.state = answered.state;
    if (sent.stage === "flag") visit.flag = true;
  }
  tell("Saved", false);
  showProgress();
}

function tell(text, waiting) {
  $("saved").textContent = text;
  $("saved").className = waiting ? "waiting" : "";
}

function say(text) {
  isMissing = false;
  $("message").textContent = text.charAt(0).toUpperCase() + text.slice(1);
  $("message").hidden = !text;
}

const newId = () => crypto.randomUUID ? crypto.randomUUID() : Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

// ---- drafts: what is not yet saved survives a reload

function keepDraft() {
  if (isMissing) say("");
  if (item) keep("draft-" + item.visit, { content: item.content, own, verdict });
}

function draftOf(visit) {
  const draft = kept("draft-" + visit.visit);
  return draft && draft.content === visit.content ? draft : null;
}

const dropDraft = (visit) => keep("draft-" + visit, null);

// ---- showing an item

async function open(number) {
  if (number < 0 || number >= state.visits.length) return showEnd();
  say("");
  try {
    item = await ask("api/visit/" + encodeURIComponent(state.visits[number].id));
  } catch (error) {
    say(error.status ? error.message : "No connection: this item cannot be loaded now.");
    if (!error.status) setTimeout(() => open(number), 3000);
    return;
  }
  at = number;
  const waiting = unsent().filter((answer) => answer.visit === item.visit);
  const answers = { ...item.answers };
  for (const answer of waiting) answers[answer.stage] = answer;
  const given = answers[state.own_stage];
  own = given ? { ...emptyAnswer(), ...pick(given, ["score", "preferred", "spans", "note", "questions"]) } : emptyAnswer();
  verdict = answers.reveal ? pick(answers.reveal, ["reason_right", "marks_right", "score_right", "score", "preferred"]) : {};
  const draft = draftOf(item);
  if (draft) { own = draft.own; verdict = draft.verdict; }
  opened = performance.now();
  visible = 0;
  typed = "";
  wait(false);
  $("end").hidden = true;
  $("item").hidden = $("to-text").hidden = false;
  if (item.changed) say("The text has changed since you answered; your earlier answer is kept as history.");
  showMaterial();
  showForm();
  showOthers();
  showReveal(item.judgment);
  lock();
  showProgress();
  window.scrollTo(0, 0);
}

const pick = (from, keys) => Object.fromEntries(keys.filter((key) => from[key] !== undefined && from[key] !== null).map((key) => [key, from[key]]));

function showMaterial() {
  const fields = item.fields.map((field, n) => {
    const text = make("div", { className: "text", tabIndex: field.judged ? 0 : -1, dir: "auto" });
    text.append(document.createTextNode(field.text));
    text.dataset.field = field.name;
    if (field.judged) text.addEventListener("click", tapWord);
    const section = make("section", { className: "field" + (field.judged ? " judged" : "") });
    if (!field.judged && field.text.length > 1200) {
      section.append(make("details", {}, make("summary", { textContent: field.name + " (" + field.text.length.toLocaleString() + " characters)" }), text));
    } else {
      section.append(make("h2", { textContent: field.name + (field.judged && state.asks_score ? (item.pair ? " · compare" : " · judge this") : "") }), text);
    }
    if (field.judged && !item.fields.slice(0, n).some((f) => f.judged)) section.id = "judged";
    return section;
  });
  $("material").replaceChildren(...fields);
  paint();
}

function choice(group, value, label, text, checked, picked) {
  const input = make("input", { type: "radio", name: group, value, checked });
  input.addEventListener("change", () => { picked(value); keepDraft(); });
  return make("label", { className: "choice" }, input, make("b", { textContent: label }), make("span", { textContent: text }));
}

function showForm() {
  $("title").textContent = item.title;
  $("question").textContent = item.question;
  const scores = item.pair
    ? [...item.fields.filter((f) => f.judged).map((f) => choice("score", f.name, f.name, "is better", own.preferred === f.name, (v) => { own.preferred = v; })),
       choice("score", "", "neither", "they are alike", own.preferred === "", (v) => { own.preferred = v; })]
    : item.levels.map((level) => choice("score", String(level.score), String(level.score), level.text, own.score === level.score, (v) => { own.score = Number(v); }));
  $("scores").replaceChildren(make("legend", { textContent: item.pair ? "Which is better?" : "Your score" }), ...scores);
  $("scores").hidden = !state.asks_score;
  $("levels").hidden = state.asks_score || item.of_two;
  $("levels").replaceChildren(...item.levels.map((l) => make("div", {}, make("dt", { textContent: l.score }), make("dd", { textContent: l.text }))));
  $("more").hidden = !item.questions.length;
  $("more").replaceChildren(make("legend", { textContent: "Questions" }), ...item.questions.map((question) =>
    make("fieldset", {}, make("legend", { textContent: question.text }), make("div", { className: "verdict" },
      ...question.choices.map((c) => choice("q-" + question.key, c, "", c, own.questions[question.key] === c, (v) => { own.questions[question.key] = v; }))))));
  $("note").value = own.note || "";
  $("flag").setAttribute("aria-pressed", String(state.visits[at].flag));
  showMarks();
}

// For an adjudicator: what the others answered, without names.
function showOthers() {
  $("others").hidden = !item.people.length;
  $("others-said").replaceChildren(...item.people.map((said, n) => {
    const what = item.pair ? (said.preferred ? "better is " + said.preferred : "neither is better") : "score " + said.score;
    const row = make("li", { className: "other" }, make("b", { textContent: "Person " + (n + 1) + ": " + what }));
    if (said.note) row.append(make("p", { textContent: said.note, dir: "auto" }));
    if (said.spans.length) {
      const quotes = said.spans.map((span) => make("li", { className: "mark" }, make("q", { textContent: slice(item.fields.find((f) => f.name === span.field).text, span.start, span.end), dir: "auto" })));
      const take = make("button", { type: "button", textContent: "Take these marks" });
      take.setAttribute("aria-label", "Take the marks of person " + (n + 1));
      take.addEventListener("click", () => { own.spans.push(...said.spans.filter((span) => !has(own.spans, span))); changed(); });
      row.append(make("ul", {}, ...quotes), take);
    }
    return row;
  }));
}

const has = (spans, span) => spans.some((s) => s.field === span.field && s.start === span.start && s.end === span.end);

function showMarks() {
  $("marks").replaceChildren(...own.spans.map((span, n) => {
    const text = item.fields.find((f) => f.name === span.field).text;
    const remove = make("button", { type: "button", textContent: "Remove" });
    remove.setAttribute("aria-label", "Remove mark " + (n + 1));
    remove.addEventListener("click", () => { if (!shut()) { own.spans.splice(n, 1); changed(); } });
    const quote = make("q", { textContent: slice(text, span.start, span.end), dir: "auto" });
    return make("li", { className: "mark" }, quote, remove);
  }));
  $("undo").disabled = !own.spans.length || shut();
}

// The own answer stands once the judge's is shown; what the person now thinks is asked below it.
const shut = () => Boolean(item && item.judgment && state.asks_score);

function lock() {
  for (const input of document.querySelectorAll("#scores input, #more input, #note, #marks button")) input.disabled = shut();
  for (const id of ["save", "mark", "undo", "how", "skip"]) $(id).hidden = shut();
  $("undo").disabled = !own.spans.length || shut();
}

function undo() { if (!shut() && own.spans.length) { own.spans.pop(); changed(); } }

function changed() { showMarks(); paint(); keepDraft(); }

function showReveal(judgment) {
  item.judgment = judgment;
  $("reveal").hidden = !judgment;
  if (!judgment) return paint();
  const level = item.levels.find((l) => l.score === judgment.score);
  $("said-score").textContent = item.of_two
    ? (judgment.preferred ? "Better: " + judgment.preferred : "Neither is better") + (judgment.flipped ? " (its two orders disagree)" : "")
    : "Score " + judgment.score + (level ? ": " + level.text : "");
  $("reasoning").textContent = judgment.reasoning || "(no reasoning)";
  $("reasoning").dir = "auto";
  const quotes = judgment.marks.map((span) => {
    const field = item.fields.find((f) => f.name === span.field);
    return make("li", { className: "mark" }, make("q", { textContent: field ? slice(field.text, span.start, span.end) : "", dir: "auto" }));
  });
  $("said-marks").replaceChildren(...quotes, ...judgment.unplaced.map((phrase) => make("li", { className: "mark" }, make("q", { textContent: phrase }), make("span", { className: "quiet", textContent: "not in the text" }))));
  $("rejected").hidden = !judgment.rejected;
  $("rejected-text").textContent = judgment.rejected || "";
  $("rejected-text").dir = "auto";
  $("save-verdict").hidden = $("verdicts").hidden = !state.asks_score;
  if (!state.asks_score) {
    $("shown-first").append($("reveal"));
    return paint();
  }
  const now = item.pair
    ? [...item.fields.filter((f) => f.judged).map((f) => [f.name, f.name]), ["", "neither"]]
    : item.levels.map((l) => [l.score, String(l.score)]);
  const what = item.pair ? "preferred" : "score";
  const before = item.pair ? own.preferred : own.score;
  $("verdicts").replaceChildren(
    ...(item.pair ? ASKED_OF_PAIR : ASKED).map(([name, text]) => make("fieldset", {}, make("legend", { textContent: text }), make("div", { className: "verdict" },
      ...SAID.map((s) => choice(name, s, "", s, verdict[name] === s, (v) => { verdict[name] = v; }))))),
    make("fieldset", {}, make("legend", { textContent: (item.pair ? "Having read it, you would choose" : "Having read it, your score would be") + " (it was " + (before === "" ? "neither" : before) + ")" }), make("div", { className: "verdict" },
      ...now.map(([value, label]) => choice("now", String(value), label, "", verdict[what] === value, () => { verdict[what] = value; })))));
  paint();
}

// ---- marks on the text

function paint() {
  if (!CSS.highlights) return;
  const ranges = (spans) => spans.map((span) => {
    const box = document.querySelector('.text[data-field="' + CSS.escape(span.field) + '"]');
    if (!box) return null;
    const node = box.firstChild;
    const range = new Range();
    range.setStart(node, toUnits(node.data, span.start));
    range.setEnd(node, toUnits(node.data, span.end));
    return range;
  }).filter(Boolean);
  const said = item.judgment ? item.judgment.marks : item.people.flatMap((one) => one.spans);
  const both = own.spans.flatMap((a) => said.filter((b) => a.field === b.field)
    .map((b) => ({ field: a.field, start: Math.max(a.start, b.start), end: Math.min(a.end, b.end) }))
    .filter((span) => span.start < span.end));
  for (const legend of document.querySelectorAll(".legend")) legend.hidden = !said.length;
  for (const mark of document.querySelectorAll(".legend .own, .legend .both")) mark.hidden = !own.spans.length;
  CSS.highlights.set("said", new Highlight(...ranges(said)));
  CSS.highlights.set("own", new Highlight(...ranges(own.spans)));
  CSS.highlights.set("both", new Highlight(...ranges(both)));
}

// The part of one judged field that is selected, in UTF-16 units, without spaces at its edges.
function selected() {
  const selection = document.getSelection();
  if (!selection || !selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  const box = [...document.querySelectorAll(".judged .text")].find((b) => range.intersectsNode(b.firstChild));
  if (!box) return null;
  const node = box.firstChild;
  const whole = new Range();
  whole.selectNodeContents(node);
  const text = node.data;
  let start = range.startContainer === node ? range.startOffset : range.compareBoundaryPoints(Range.START_TO_START, whole) <= 0 ? 0 : text.length;
  let end = range.endContainer === node ? range.endOffset : range.compareBoundaryPoints(Range.END_TO_END, whole) >= 0 ? text.length : 0;
  while (start < end && /\s/.test(text[start])) start += 1;
  while (end > start && /\s/.test(text[end - 1])) end -= 1;
  return start < end ? { box, text, start, end } : null;
}

// A span in code points, its edges moved out to whole words.
function snapped({ box, text, start, end }) {
  const words = new Intl.Segmenter(undefined, { granularity: "word" }).segment(text);
  const first = words.containing(start);
  const last = words.containing(end - 1);
  if (first.isWordLike) start = first.index;
  if (last.isWordLike) end = last.index + last.segment.length;
  return { field: box.dataset.field, start: toPoints(text, start), end: toPoints(text, end) };
}

// Arrows in a text that has the focus: browsers put no caret into text that is only read.
let cursor = null;

function moveWord(box, step, extend) {
  if (!cursor || cursor.box !== box) {
    const words = [...new Intl.Segmenter(undefined, { granularity: "word" }).segment(box.firstChild.data)].filter((word) => word.isWordLike);
    const before = step > 0 ? -1 : words.length;
    cursor = { box, words, anchor: before, head: before };
  }
  const { words } = cursor;
  if (!words.length) return;
  cursor.head = Math.max(0, Math.min(words.length - 1, cursor.head + step));
  if (!extend || !words[cursor.anchor]) cursor.anchor = cursor.head;
  const first = words[Math.min(cursor.anchor, cursor.head)];
  const last = words[Math.max(cursor.anchor, cursor.head)];
  const range = new Range();
  range.setStart(box.firstChild, first.index);
  range.setEnd(box.firstChild, last.index + last.segment.length);
  const selection = document.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

// A finger: a tap selects a word, the next tap reaches to another one, a third on a single word lets go.
// Where a long press selects, that works too.
let tapped = null;

function tapWord(event) {
  if (event.pointerType !== "touch" || shut()) return;
  const box = event.currentTarget;
  const found = document.caretPositionFromPoint
    ? document.caretPositionFromPoint(event.clientX, event.clientY)
    : document.caretRangeFromPoint(event.clientX, event.clientY);
  const node = found && (found.offsetNode || found.startContainer);
  if (node !== box.firstChild) return;
  const at = Math.min(found.offset ?? found.startOffset, node.data.length - 1);
  const word = [...new Intl.Segmenter(undefined, { granularity: "word" }).segment(node.data)].find((w) => at < w.index + w.segment.length);
  if (!word || !word.isWordLike) return;
  const here = { box, start: word.index, end: word.index + word.segment.length };
  const from = tapped && tapped.box === box ? tapped : here;
  const again = from !== here && from.start === here.start;
  tapped = again ? null : from;
  const selection = document.getSelection();
  selection.removeAllRanges();
  if (again) return;
  const range = new Range();
  range.setStart(node, Math.min(from.start, here.start));
  range.setEnd(node, Math.max(from.end, here.end));
  selection.addRange(range);
}

let pressed = null; // what was selected when a finger came down: some browsers drop it then

function markSelection() {
  const found = shut() ? null : selected() || pressed;
  pressed = tapped = null;
  if (!found || !found.box.isConnected) return;
  const span = snapped(found);
  if (!has(own.spans, span)) own.spans.push(span);
  document.getSelection().removeAllRanges();
  changed();
}

// ---- saving

function seconds() {
  return Math.round((visible + (document.hidden ? 0 : performance.now() - opened)) / 100) / 10;
}

function wait(now) {
  busy = now;
  $("item").inert = now;
}

async function save() {
  if (busy) return;
  if (shut()) return saveVerdict();
  const judged = item.pair ? own.preferred !== null : own.score !== null;
  const unanswered = item.questions.filter((q) => !own.questions[q.key]);
  if (!judged && state.asks_score) return missing(item.pair ? "Choose the better one first." : "Choose a score first.");
  if (unanswered.length) return missing("Not answered yet: " + unanswered[0].text);
  own.note = $("note").value;
  const visit = item.visit;
  const given = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== null));
  const answer = { id: newId(), visit, content: item.content, stage: state.own_stage, seconds: seconds(), ...given };
  say("");
  tell("Saving …", false);
  wait(true);
  dropDraft(visit);
  const answered = await send(answer);
  if (!item || item.visit !== visit) return;
  if (answered && answered.saved === answer.id && answered.judgment && state.asks_score) {
    showReveal(answered.judgment);
    showMarks();
    lock();
    wait(false);
    opened = performance.now();
    visible = 0;
    $("reveal").focus({ preventScroll: true });
    $("reveal").scrollIntoView({ block: "start" });
    return;
  }
  await goOn();
}

async function saveVerdict() {
  if (busy) return;
  const unsaid = ASKED.find(([name]) => !verdict[name]);
  if (unsaid) return missing("Answer all three questions, please; “cannot tell” is an answer.");
  const visit = item.visit;
  say("");
  tell("Saving …", false);
  wait(true);
  dropDraft(visit);
  await send({ id: newId(), visit, content: item.content, stage: "reveal", seconds: seconds(), ...verdict });
  if (item && item.visit === visit) await goOn();
}

let isMissing = false; // the message asks for something; it goes when anything is given

function missing(text) { say(text); isMissing = true; $("message").scrollIntoView({ block: "center" }); }

// A list that grows is asked for anew: of a queue, or of what people have come to disagree on.
async function goOn() {
  if (state.grows) {
    try {
      state = await ask("api/state");
      at = item ? state.visits.findIndex((visit) => visit.id === item.visit) : -1;
    } catch { /* what is known of the list is used */ }
  }
  const later = state.visits.findIndex((visit, n) => n > at && (visit.state === "open" || visit.state === "half"));
  const any = state.visits.findIndex((visit) => visit.state === "open" || visit.state === "half");
  return open(later >= 0 ? later : any >= 0 ? any : state.visits.length);
}

async function skip() {
  if (busy || shut()) return;
  wait(true);
  await send({ id: newId(), visit: item.visit, content: item.content, stage: "skip" });
  await goOn();
}

async function flag() {
  $("flag").setAttribute("aria-pressed", "true");
  await send({ id: newId(), visit: item.visit, content: item.content, stage: "flag", note: $("note").value });
}

// ---- the frame

function showProgress() {
  const done = state.visits.filter((visit) => visit.state === "done").length;
  $("who").textContent = state.person + (state.own_stage === "adjudicated" ? " (adjudicator)" : "");
  $("progress").max = state.visits.length || 1;
  $("progress").value = done;
  $("count").textContent = done + " of " + state.visits.length + " done" + (item ? " · item " + (at + 1) : "");
  $("back").disabled = at <= 0;
  $("next").disabled = at < 0 || at >= state.visits.length - 1;
  if (!$("items").hidden) showList();
}

function showList() {
  const wanted = $("search").value.toLowerCase();
  const rows = [];
  state.visits.forEach((visit, n) => {
    if (wanted && !visit.title.toLowerCase().includes(wanted)) return;
    if (rows.length >= 200) return;
    const go = make("button", { type: "button", textContent: visit.title || "(empty)" });
    go.addEventListener("click", () => open(n));
    const words = { open: "", half: "verdict missing", done: "done", skipped: "skipped" }[visit.state] + (visit.flag ? " · flagged" : "");
    const row = make("li", { value: n + 1 }, go, make("span", { className: "state", textContent: " " + words }));
    rows.push(row);
  });
  $("visits").replaceChildren(...rows);
}

function toggle(button, panel) {
  panel.hidden = !panel.hidden;
  button.setAttribute("aria-expanded", String(!panel.hidden));
}

function showEnd() {
  $("item").hidden = true;
  $("end").hidden = false;
  $("to-text").hidden = true;
  $("end-title").textContent = state.grows ? "Nothing waits for you now" : "Thank you";
  $("end-text").textContent = state.grows
    ? "The next item comes by itself when there is one; this page asks every 20 seconds."
    : "You have been through every item. You can go back to any of them.";
  at = state.visits.length;
  item = null;
  if (state.grows) setTimeout(() => { if (!item) goOn(); }, 20000);
  wait(false);
  showProgress();
}

function press(event) {
  if (!state) return;
  const writing = event.target.matches("textarea, input[type=search]");
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
    event.preventDefault();
    if (item) save();
    return;
  }
  if (event.key === "Escape" && !$("items").hidden) { toggle($("list"), $("items")); $("list").focus(); return; }
  if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = { n: () => open(at + 1), p: () => open(at - 1), m: markSelection, s: skip, f: flag,
    u: undo, "?": () => toggle($("help"), $("keys")),
    "/": () => { if ($("items").hidden) { toggle($("list"), $("items")); showList(); } $("search").focus(); } };
  const box = event.target.closest(".judged .text");
  if (box && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
    event.preventDefault();
    const onward = (event.key === "ArrowRight") === (getComputedStyle(box).direction === "ltr");
    return moveWord(box, onward ? 1 : -1, event.shiftKey);
  }
  if (busy && event.key !== "p" && event.key !== "n") return;
  if (/^[0-9]$/.test(event.key) && item && state.asks_score) return shut() ? answerNext(event.key) : digit(event.key);
  if (actions[event.key] && (item || event.key === "?" || event.key === "/" || event.key === "p")) {
    event.preventDefault();
    actions[event.key]();
  }
}

// "1" then "0" within a second is 10, where the rubric has it.
function digit(key) {
  if (item.pair) {
    const inputs = [...$("scores").querySelectorAll("input")];
    const wanted = inputs[key === "0" ? inputs.length - 1 : Number(key) - 1];
    if (wanted) wanted.click();
    return;
  }
  const now = performance.now();
  typed = now - typedAt < 1000 ? typed + key : key;
  typedAt = now;
  const has = (text) => item.levels.some((level) => String(level.score) === text);
  const wanted = has(typed) ? typed : key;
  if (!has(wanted)) return;
  typed = wanted;
  own.score = Number(wanted);
  for (const input of $("scores").querySelectorAll("input")) input.checked = input.value === wanted;
  keepDraft();
}

// 1 to 4 answer the first verdict that is open.
function answerNext(key) {
  const open = ASKED.find(([name]) => !verdict[name]);
  const input = open && $("verdicts").querySelectorAll('input[name="' + open[0] + '"]')[Number(key) - 1];
  if (input) input.click();
}

$("form").addEventListener("submit", (event) => { event.preventDefault(); save(); });
$("save-verdict").addEventListener("click", saveVerdict);
$("mark").addEventListener("click", markSelection);
$("mark").addEventListener("mousedown", (event) => event.preventDefault()); // keeps the selection
$("mark").addEventListener("pointerdown", () => { pressed = selected(); });
$("undo").addEventListener("click", undo);
$("skip").addEventListener("click", skip);
$("flag").addEventListener("click", flag);
$("next").addEventListener("click", () => open(at + 1));
$("back").addEventListener("click", () => open(at - 1));
$("help").addEventListener("click", () => toggle($("help"), $("keys")));
$("list").addEventListener("click", () => { toggle($("list"), $("items")); if (!$("items").hidden) { showList(); $("search").focus(); } });
$("search").addEventListener("input", showList);
$("note").addEventListener("input", () => { own.note = $("note").value; keepDraft(); });
document.addEventListener("keydown", press);
document.addEventListener("pointerdown", (event) => { if (!event.target.closest(".judged .text, #mark")) tapped = null; });
document.addEventListener("selectionchange", () => { $("mark").disabled = !item || shut() || !selected(); });
document.addEventListener("visibilitychange", () => {
  if (document.hidden) visible += performance.now() - opened; else opened = performance.now();
});
window.addEventListener("online", () => { if (state) send(); });
setInterval(() => { if (state && unsent().length) send(); }, 5000);

function sayClosed(text) {
  $("closed").hidden = false;
  say(text);
}

(async () => {
  if (!token) return sayClosed("This link is not whole: it ends with # and a long word.");
  try {
    state = await ask("api/state");
  } catch (error) {
    sayClosed(error.status ? error.message : "The server cannot be reached. Is glider review still running?");
    if (!error.status) setTimeout(() => location.reload(), 5000);
    return;
  }
  $("nav").hidden = $("progress").hidden = false;
  await send();
  const first = state.visits.findIndex((visit) => visit.state === "open" || visit.state === "half");
  await open(first >= 0 ? first : state.visits.length);
})();
