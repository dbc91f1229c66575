/* Draws the table of judgments and one judgment in full. Every text of the run becomes a text node:
   nothing here builds HTML from strings. Offsets in the data are code points; JavaScript strings are
   UTF-16, so `units` turns one into the other. */
(() => {
"use strict";

const PAGE = 50;
const UNSURE = "The mean of the level probabilities lies nearer to another level than to the score.";
const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const words = new Intl.Collator("en", { numeric: true });

document.addEventListener("DOMContentLoaded", start);

/** An element; strings among the children become text nodes. */
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Code point offsets, rising, as UTF-16 offsets of `text`; beyond the end is the end. */
function units(text, points) {
  let unit = 0, point = 0;
  return points.map((wanted) => {
    while (point < wanted && unit < text.length) {
      unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
      point += 1;
    }
    return unit;
  });
}

function start() {
  const { criteria, help, unknown, planted } = JSON.parse($("head").textContent);
  let nth = -1, before = null;   // the outcome's place among those of its row
  const rows = JSON.parse($("rows").textContent).map(
    ([row, id, criterion, value, expected, doubt, brief, marks, failed, flags, pair, probs, block], order) => {
      nth = row === before ? nth + 1 : 0;
      before = row;
      return { row, id, criterion, value, expected, doubt, brief, marks, failed, flags, pair, probs, block, order, nth };
    });
  $("rows").remove();
  for (const criterion of criteria) {
    criterion.scores = Object.keys(criterion.levels).map(Number).sort((a, b) => a - b);
  }
  const helpFor = (code) => help[code] ?? [code.replaceAll("_", " "), ...unknown];
  const titleOf = (row) => criteria[row.criterion]?.title ?? "No criterion";

  // Texts ------------------------------------------------------------------------------------

  const blocks = new Map();
  function block(n) {
    if (!blocks.has(n)) {
      if (blocks.size >= 8) blocks.delete(blocks.keys().next().value);
      blocks.set(n, JSON.parse($(`texts-${n}`).textContent));
    }
    return blocks.get(n);
  }
  const detail = (row) => (row.block === null ? null : block(row.block)[row.row]);

  // The table --------------------------------------------------------------------------------

  const place = (row) => {
    if (row.value === null) return null;
    if (typeof row.value === "string") return row.expected;
    const scores = criteria[row.criterion].scores;
    return (row.value - scores[0]) / (scores.at(-1) - scores[0]);
  };
  const COLUMNS = [
    { key: "id", title: "Sample", of: (row) => row.id, falling: false },
    { key: "criterion", title: "Criterion", of: (row) => row.criterion, falling: false },
    { key: "score", title: "Score", of: place, falling: false },
    { key: "expected", title: "Expected", of: (row) => row.expected, falling: false },
    { key: "doubt", title: "Doubt", of: (row) => row.doubt, falling: true },
    { key: "reason", title: "Reasoning", of: (row) => row.brief || null, falling: false },
    { key: "marks", title: "Marks", of: (row) => row.marks, falling: true },
  ];
  const state = { criterion: "", number: "", score: "", failed: false, code: "", doubtful: false, sort: null, page: 0 };
  let matched = null;   // rows that the search found, as a Set; null where nothing is searched
  let view = rows;
  let opened = null;

  function refresh() {
    const { criterion, number: own, score, failed, code, doubtful, sort } = state;
    view = rows.filter((row) =>
      (criterion === "" || criteria[row.criterion]?.name === criterion) &&
      (own === "" || row.criterion === own) &&
      (score === "" || String(row.value) === score) &&
      (!failed || (row.failed !== null && (code === "" || row.failed === code))) &&
      (!doubtful || row.doubt !== null) &&
      (matched === null || matched.has(row)));
    const by = doubtful && !sort ? { key: "doubt", falling: true } : sort;
    if (by) {
      const { of } = COLUMNS.find((column) => column.key === by.key);
      const sign = by.falling ? -1 : 1;
      const keyed = view.map((row) => [of(row), row]);
      keyed.sort(([a, x], [b, y]) => {
        // Rows without a value come last in either direction.
        if (a === null || b === null) return (a === null) - (b === null) || x.order - y.order;
        const order = typeof a === "string" ? words.compare(a, b) : a - b;
        return sign * order || x.order - y.order;
      });
      view = keyed.map(([, row]) => row);
    }
    state.page = Math.min(state.page, Math.max(0, Math.ceil(view.length / PAGE) - 1));
    for (const column of COLUMNS) {
      const sorted = by?.key === column.key;
      if (sorted) column.th.setAttribute("aria-sort", by.falling ? "descending" : "ascending");
      else column.th.removeAttribute("aria-sort");
    }
    $("f-sort").value = by ? `${by.key} ${by.falling}` : "";
    $("f-failed").setAttribute("aria-pressed", failed);
    $("f-doubtful").setAttribute("aria-pressed", doubtful);
    $("f-clear").disabled = !(criterion || score || failed || doubtful || sort || $("q").value);
    draw();
  }

  function draw() {
    const from = state.page * PAGE;
    const shown = view.slice(from, from + PAGE);
    $("table").tBodies[0].replaceChildren(...(shown.length ? shown.map(line) : [
      h("tr", { role: "row", class: "wait" }, h("td", { role: "cell", colspan: 7 }, "No judgment matches. Clear the filters to see all."))]));
    $("prev").disabled = state.page === 0;
    $("next").disabled = from + PAGE >= view.length;
    const of = view.length === rows.length ? "" : `, filtered from ${number.format(rows.length)}`;
    $("where").textContent = view.length
      ? `${number.format(from + 1)}–${number.format(from + shown.length)} of ${number.format(view.length)}${of}`
      : `0 of ${number.format(rows.length)}`;
  }

  const cell = (key, ...children) => h("td", { role: "cell", class: `c-${key}` }, ...children);
  const nil = () => h("span", { class: "nil" }, "–");

  function line(row) {
    const tags = h("span", { class: "tags" },
      row.flags.includes("f") && h("span", { class: "tag warn" }, "flipped"),
      row.flags.includes("m") && h("span", { class: "tag warn" }, "low mass"),
      row.flags.includes("c") && h("span", { class: "tag" }, "cut"),
      row.block === null && h("span", { class: "tag" }, "no text"));
    return h("tr", { role: "row", onclick: (event) => { if (!event.target.closest("a") && !String(getSelection())) location.hash = hashOf(row); } },
      cell("id", h("a", { href: hashOf(row), dir: "auto" }, row.id || `row ${row.row}`)),
      cell("criterion", h("span", { dir: "auto" }, titleOf(row))),
      cell("score", scored(row), tags),
      cell("expected", row.expected === null ? nil() : row.expected.toFixed(2)),
      cell("doubt", row.doubt === null ? nil() : [row.doubt.toFixed(2), " ", row.flags.includes("u") && h("span", { class: "tag warn", title: UNSURE }, "unsure")]),
      cell("reason", h("span", { dir: "auto" }, row.failed ? `${helpFor(row.failed)[0]}: ${row.brief}` : row.brief || nil())),
      cell("marks", row.marks ? String(row.marks) : nil()));
  }

  function scored(row) {
    if (row.failed !== null) return h("span", { class: "tag bad" }, "Failed");
    if (row.pair) return h("span", { class: "scored", dir: "auto" }, answer(row));
    const { scores } = criteria[row.criterion];
    return h("span", { class: "scored" }, String(row.value), spread(scores, row.value, row.probs));
  }

  const answer = (row) => (row.failed !== null ? "failed" : row.pair ? { first: row.pair[0], second: row.pair[1], tie: "tie" }[row.value] : String(row.value));

  /** The probability of each level, lowest first, as bars; where none are known, where the score stands. */
  function spread(scores, value, probs) {
    const known = probs?.length === scores.length;
    const most = known ? Math.max(...probs, 1) : 1;
    return h("span", { class: known ? "spread" : "spread unknown", "aria-hidden": "true" }, scores.map((score, n) =>
      h("i", { class: score === value ? "here" : null, style: known && `height:${Math.max(8, Math.round((100 * probs[n]) / most))}%` })));
  }

  // Search -----------------------------------------------------------------------------------

  const haystacks = new Map();   // row number to the lower-cased texts of its sample
  const said = new Map();        // outcome to its lower-cased id and reasoning
  let searching = 0;

  function haystack(row) {
    if (!said.has(row)) {
      const found = detail(row);
      const outcome = found?.outcomes[row.nth];
      const reasonings = outcome ? (outcome.orders ?? [outcome]).map((part) => part.reasoning ?? part.message ?? "") : [row.brief];
      said.set(row, [row.id, ...reasonings].join("\n").toLowerCase());
      if (!haystacks.has(row.row)) {
        haystacks.set(row.row, (found?.fields ?? []).map((field) => field.text).join("\n").toLowerCase());
      }
    }
    return [said.get(row), haystacks.get(row.row)];
  }

  /** Finds rows that have every word, a slice of time after another so that typing stays smooth. */
  async function search() {
    const mine = ++searching;
    const wanted = $("q").value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!wanted.length) { matched = null; state.page = 0; refresh(); return; }
    const found = new Set();
    let until = performance.now() + 12;
    for (const row of rows) {
      if (performance.now() > until) {
        $("where").textContent = `Searching … ${Math.round((100 * row.order) / rows.length)} %`;
        await new Promise((done) => setTimeout(done));
        if (mine !== searching) return;
        until = performance.now() + 12;
      }
      const [outcome, texts] = haystack(row);
      if (wanted.every((word) => outcome.includes(word) || texts.includes(word))) found.add(row);
    }
    matched = found;
    state.page = 0;
    refresh();
  }

  // One judgment -----------------------------------------------------------------------------

  const sheet = $("sheet");
  const hashOf = (row) => `#${new URLSearchParams({
    row: row.row,
    ...(row.criterion >= 0 && { criterion: criteria[row.criterion].name }),
    ...(row.pair && { first: row.pair[0], second: row.pair[1] }),
  })}`;

  function fromHash() {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (!asked.has("row")) return null;
    const fits = (key, value) => !asked.has(key) || asked.get(key) === value;
    return rows.find((row) => String(row.row) === asked.get("row") && fits("criterion", criteria[row.criterion]?.name)
      && fits("first", row.pair?.[0]) && fits("second", row.pair?.[1])) ?? null;
  }

  function follow() {
    const row = fromHash();
    if (row === null) { if (sheet.open) shut(); return; }
    opened = row;
    const at = view.indexOf(row);
    if (at >= 0 && Math.floor(at / PAGE) !== state.page) { state.page = Math.floor(at / PAGE); draw(); }
    sheet.replaceChildren(...full(row, at));
    if (!sheet.open) sheet.showModal();
    sheet.querySelector(".sheet-body").focus();
  }

  function turn(step) {
    const at = view.indexOf(opened);
    const row = at < 0 ? undefined : view[at + step];
    if (!row) return;
    history.replaceState(null, "", hashOf(row));
    follow();
  }

  // Not left to the dialog's own `close` event: that comes late, when the next row may be open.
  function shut() {
    if (fromHash() !== null) history.replaceState(null, "", location.pathname + location.search);
    sheet.close();
    const at = view.indexOf(opened);
    if (at >= 0) focusRow(at - state.page * PAGE);
  }

  sheet.addEventListener("cancel", (event) => { event.preventDefault(); shut(); });
  sheet.addEventListener("click", (event) => { if (event.target === sheet) shut(); });

  function full(row, at) {
    const found = detail(row);
    const outcome = found?.outcomes[row.nth];
    const criterion = criteria[row.criterion];
    const parts = outcome ? outcome.orders ?? [outcome] : [];
    // Highlights are numbered through both orders of a comparison, so that a number names one.
    const highlights = parts.flatMap((part) => part.highlights ?? []).map((highlight, n) => ({ ...highlight, n: n + 1 }));
    const cuts = parts.flatMap((part) => part.cuts ?? []);
    const siblings = rows.filter((other) => other.row === row.row);
    let count = 0;
    const pieces = parts.map((part, order) => {
      const own = highlights.slice(count, (count += part.highlights?.length ?? 0));
      return outcome.kind === "comparison" ? oneOrder(part, order, outcome, own) : judged(part, criterion, own, row.id);
    });
    return [
      h("header", { class: "sheet-head" },
        h("div", {},
          h("h2", { id: "sheet-title", dir: "auto" }, titleOf(row)),
          h("code", { dir: "auto" }, row.id), " ", h("small", { class: "nil" }, `row ${number.format(row.row)}`),
          siblings.length > 1 && h("nav", { class: "siblings", "aria-label": "Other criteria of this sample" },
            siblings.map((other) => h("a", { href: hashOf(other), "aria-current": other === row && "true", onclick: (event) => {
              event.preventDefault(); history.replaceState(null, "", hashOf(other)); follow();
            } }, `${titleOf(other)} `, h("strong", {}, answer(other)))))),
        h("div", { class: "sheet-nav" },
          h("button", { type: "button", disabled: at <= 0, onclick: () => turn(-1) }, "Previous"),
          h("button", { type: "button", disabled: at < 0 || at + 1 >= view.length, onclick: () => turn(1) }, "Next"),
          h("button", { type: "button", onclick: shut }, "Close"))),
      h("div", { class: "sheet-body", tabindex: -1 },
        h("section", { class: "texts", "aria-label": "Texts" }, texts(found, outcome, highlights, cuts, row.id)),
        h("aside", { class: "why", "aria-label": "Judgment" },
          outcome ? [outcome.kind === "comparison" && compared(outcome), pieces, facts(outcome, found)]
            : h("div", {}, h("p", { class: "score-line" }, scored(row)), h("p", { class: "reasoning", dir: "auto" }, row.brief)))),
    ];
  }

  function texts(found, outcome, highlights, cuts, sample) {
    if (found === null) return h("p", { class: "aside-notice" }, "The texts of this row are not in this page, to keep it light. They are in samples.jsonl and journal.jsonl of the run.");
    if (!found.fields) return h("p", { class: "nil" }, "This row could not be read, so there is no text to show.");
    const compared = outcome.kind === "comparison" ? [outcome.first, outcome.second] : null;
    return found.fields.map((field) => {
      const judged = compared ? compared.includes(field.name) : field.role === "judged";
      const cut = cuts.find((each) => each.field === field.name);
      return h("article", { class: judged ? "field judged" : "field" },
        h("h3", {}, h("span", { dir: "auto" }, field.name), judged && h("span", { class: "tag" }, compared ? "compared" : "judged")),
        h("div", { class: "text", dir: "auto" }, field.text ? marked(field, highlights, cut, judged ? wrongWords(field.text, sample) : null) : h("span", { class: "nil" }, "empty")));
    });
  }

  /** Where a planted fault stands, in code points; null where there is none, or where it is all of the text. */
  function wrongWords(text, sample) {
    const where = planted[sample]?.where;
    const at = where && where !== text ? text.indexOf(where) : -1;
    if (at < 0) return null;
    const start = [...text.slice(0, at)].length;
    return [start, start + [...where].length];
  }

  /** The text cut at every border of a highlight, so that overlaps become pieces with several. */
  function marked(field, highlights, cut, wrong) {
    const spans = highlights.flatMap(({ n, match, spans: all }) =>
      all.filter((span) => span.field === field.name && span.end > span.start).map((span) => ({ n, match, start: span.start, end: span.end })));
    const kept = cut && cut.kept > 0 ? cut.kept : Infinity;
    const points = [...new Set([0, ...spans.flatMap((span) => [span.start, span.end]), ...(wrong ?? []), kept, Infinity])].sort((a, b) => a - b);
    const offsets = units(field.text, points);
    const pieces = [];
    for (let k = 0; k + 1 < points.length; k += 1) {
      const text = field.text.slice(offsets[k], offsets[k + 1]);
      if (!text) continue;
      const here = spans.filter((span) => span.start <= points[k] && span.end >= points[k + 1]);
      const begins = here.filter((span) => span.start === points[k]).map((span) => span.n);
      let piece = here.length
        ? h("mark", {
            class: [here.every((span) => span.match === "folded") && "folded", here.length > 1 && "many"].filter(Boolean).join(" ") || null,
            "data-n": begins.length ? begins.join(" ") : null,
            "data-all": here.map((span) => span.n).join(" "),
          }, text)
        : text;
      if (wrong && wrong[0] <= points[k] && wrong[1] >= points[k + 1]) piece = h("u", { class: "planted", title: "Planted fault" }, piece);
      if (points[k] === kept) pieces.push(h("span", { class: "cutline" }, "The judge did not see the text from here on."));
      pieces.push(points[k] >= kept ? h("span", { class: "unseen" }, piece) : piece);
    }
    return pieces;
  }

  function judged(part, criterion, own, sample) {
    if (part.kind === "failure") return failed(part);
    return [
      h("div", {},
        h("p", { class: "score-line" }, String(part.score), h("small", {}, `on a scale of ${criterion.scores[0]} to ${criterion.scores.at(-1)}`),
          unsure(part, criterion) && h("span", { class: "tag warn", title: UNSURE }, "unsure")),
        h("p", { class: "meaning", dir: "auto" }, criterion.levels[part.score] ?? "")),
      expectation(part, criterion),
      plantedFault(part, sample),
      warnings(part),
      reasoning(part),
      quotes(own),
      levels(part, criterion.scores.map((score) => [score, score, criterion.levels[score]]).reverse(), part.score_probs ? "Probability of each level" : "What the scores mean"),
      raw(part),
    ];
  }

  /** The probabilities of the levels, with the score and the expected value on one scale. */
  function expectation(part, criterion) {
    if (typeof part.expected !== "number" || !part.score_probs) return null;
    const { scores } = criterion;
    const at = (value) => (100 * (value - scores[0])) / (scores.at(-1) - scores[0]);
    const of = (score) => part.score_probs[score] ?? 0;
    const most = Math.max(...scores.map(of), 0.01);
    return h("div", { class: "expectation" },
      h("div", { class: "hills", "aria-hidden": "true" },
        scores.map((score) => h("i", { class: score === part.score ? "here" : null, style: `left:${at(score)}%;height:${(100 * of(score)) / most}%` })),
        h("b", { style: `left:${at(part.expected)}%` })),
      h("div", { class: "hill-labels", "aria-hidden": "true" }, scores.map((score) => h("span", { style: `left:${at(score)}%` }, String(score)))),
      h("p", {}, "Expected value ", h("strong", {}, part.expected.toFixed(2)), `, the mean of all levels; level ${part.score} has ${percent(of(part.score))} of the probability.`),
      unsure(part, criterion) && h("p", { class: "nil" }, `The mean lies nearer to ${nearest(scores, part.expected)} than to ${part.score}: do not rely on this score alone.`));
  }

  const unsure = (part, { scores }) => typeof part.expected === "number" && part.score_probs
    && Math.abs(nearest(scores, part.expected) - part.expected) < Math.abs(part.score - part.expected);

  const nearest = (scores, value) => scores.reduce((best, score) => (Math.abs(score - value) < Math.abs(best - value) ? score : best));

  function plantedFault(part, sample) {
    const fault = planted[sample];
    if (!fault || fault.criterion !== part.criterion) return null;
    return h("div", { class: fault.found ? "aside-notice good" : "aside-notice bad" },
      h("p", {}, h("strong", {}, `Planted fault: ${fault.kind}. `), fault.found ? "Found." : "Missed."),
      h("p", {}, fault.what));
  }

  function oneOrder(part, order, outcome, own) {
    const shown = order === 0 ? [outcome.first, outcome.second] : [outcome.second, outcome.first];
    return h("div", { class: "order" },
      h("h3", {}, order === 0 ? `As shown: ${shown[0]}, then ${shown[1]}` : `Swapped: ${shown[0]}, then ${shown[1]}`),
      part.kind === "failure" ? failed(part) : [
        warnings(part),
        reasoning(part),
        quotes(own),
        levels(part, shown.map((name, score) => [score, ["1st", "2nd"][score], `${name} is better`]), part.score_probs ? "Probability" : "Answer"),
        raw(part),
      ]);
  }

  function compared(outcome) {
    const p = outcome.p_first;
    return h("div", {},
      h("p", { class: "score-line" }, outcome.preferred ?? (p === null ? "Not judged" : "Tie"), h("small", {}, outcome.preferred ? "is better" : "")),
      p !== null && h("p", { class: "nil" }, `Probability that ${outcome.first} is better: ${percent(p)}`),
      outcome.flipped && h("p", { class: "aside-notice" }, "The winner changed with the order in which the outputs were shown."));
  }

  function failed(part) {
    const [title, happened, remedy] = helpFor(part.code);
    return [
      h("p", { class: "score-line bad" }, "Failed", h("small", {}, `${part.stage}/${part.code}`)),
      h("div", { class: "aside-notice bad" }, h("p", {}, h("strong", {}, title)), h("p", {}, happened), h("p", {}, remedy)),
      h("div", {}, h("h3", {}, "Message"), h("p", { class: "reasoning", dir: "auto" }, part.message)),
      raw(part),
    ];
  }

  function warnings(part) {
    const low = typeof part.mass === "number" && part.mass < 0.5;
    return [
      low && h("p", { class: "aside-notice" }, `Only ${percent(part.mass)} of the probability lay on scores of the rubric. The judge wanted to write something else: read this score with care.`),
      ...(part.cuts ?? []).map((cut) => h("p", { class: "aside-notice" }, h("span", { dir: "auto" }, cut.field), `: judged on the first ${number.format(cut.kept)} of ${number.format(cut.of)} characters.`)),
      ...(part.warnings ?? []).map((warning) => h("p", { class: "aside-notice" }, `${warning[0].toUpperCase()}${warning.slice(1)}.`)),
    ];
  }

  const percent = (p) => (p > 0 && p < 0.01 ? "<1 %" : p > 0.99 && p < 1 ? ">99 %" : `${Math.round(100 * p)} %`);

  const reasoning = (part) => part.reasoning && h("div", {}, h("h3", {}, "Reasoning"), h("p", { class: "reasoning", dir: "auto" }, part.reasoning));

  function quotes(own) {
    const placed = own.filter((each) => each.spans.length);
    const lost = own.filter((each) => !each.spans.length);
    return [
      placed.length > 0 && h("div", {}, h("h3", {}, "Highlights"), h("ol", { class: "quotes" }, placed.map((each) =>
        h("li", {}, h("b", {}, String(each.n)), h("span", {},
          h("button", { type: "button", dir: "auto", onclick: () => flash(each.n) }, each.phrase),
          each.match === "folded" && h("small", {}, " but for case, spacing or marks"),
          each.spans.length > 1 && h("small", {}, ` ${each.spans.length} places`)))))),
      lost.length > 0 && h("div", {}, h("h3", {}, "Quoted but not found in the text"),
        h("ul", { class: "quotes" }, lost.map((each) => h("li", { class: "lostquote", dir: "auto" }, `“${each.phrase}”`)))),
    ];
  }

  function flash(n) {
    const marks = [...sheet.querySelectorAll("mark")].filter((mark) => mark.dataset.all.split(" ").includes(String(n)));
    marks[0]?.scrollIntoView({ block: "center" });
    for (const mark of marks) mark.classList.add("flash");
    setTimeout(() => { for (const mark of marks) mark.classList.remove("flash"); }, 1600);
  }

  function levels(part, all, title) {
    const probs = part.score_probs;
    return h("div", {}, h("h3", {}, title), h("ol", { class: probs ? "probs" : "probs plain" }, all.map(([score, label, description]) =>
      h("li", { class: score === part.score && "chosen", "aria-current": score === part.score && "true" },
        h("span", { class: "level" }, String(label)),
        probs && h("span", { class: "track" }, h("i", { style: `width:${100 * (probs[score] ?? 0)}%` })),
        probs && h("span", { class: "count" }, percent(probs[score] ?? 0)),
        h("span", { class: "what", dir: "auto" }, description)))));
  }

  const raw = (part) => part.raw_text && h("details", { class: "raw" }, h("summary", {}, "Raw answer"), h("pre", { dir: "auto" }, part.raw_text));

  function facts(outcome, found) {
    const all = (outcome.orders ?? [outcome]).map((part) => part.usage).filter(Boolean);
    const sum = (key) => all.reduce((total, usage) => total + (usage[key] ?? 0), 0);
    const cached = sum("cached_tokens"), cost = sum("cost");
    const sampled = outcome.sampled ?? [];
    const listed = [
      all.length > 0 && ["Usage", `${number.format(sum("prompt_tokens"))} tokens read${cached ? ` (${number.format(cached)} cached)` : ""}, ${number.format(sum("completion_tokens"))} written, ${sum("seconds").toFixed(1)} s${cost ? `, cost ${cost.toPrecision(2)}` : ""}`],
      sampled.length > 0 && ["Samples", sampled.map((score) => score.toFixed(2)).join(", ")],
      ["Judge", outcome.judge],
      ["Made", outcome.made_at],
      ...Object.entries(found.metadata).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
    ].filter(Boolean);
    return h("dl", { class: "facts" }, listed.map(([term, value]) => h("div", {}, h("dt", { dir: "auto" }, term), h("dd", { dir: "auto" }, value ?? "–"))));
  }

  // Wiring -----------------------------------------------------------------------------------

  function links() { return [...$("table").querySelectorAll("tbody a")]; }
  function focusRow(n) { links()[n]?.focus(); }

  function move(step) {
    const at = links().indexOf(document.activeElement);
    if (at < 0) { focusRow(0); return; }
    const wanted = at + step;
    if (wanted >= 0 && wanted < links().length) focusRow(wanted);
    else if (wanted < 0 ? state.page > 0 : (state.page + 1) * PAGE < view.length) {
      state.page += step;
      draw();
      focusRow(step > 0 ? 0 : PAGE - 1);
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, select, textarea");
    const key = event.key;
    let done = true;
    if (sheet.open) {
      if (key === "Escape") shut();
      else if (key === "j" || key === "ArrowRight") turn(1);
      else if (key === "k" || key === "ArrowLeft") turn(-1);
      else done = false;
    } else if (typing) {
      if (key === "Escape" && typing === $("q")) { $("q").value = ""; $("q").blur(); search(); }
      else done = false;
    } else if (key === "/") { $("q").focus(); $("q").select(); }
    else if (key === "j" || (key === "ArrowDown" && event.target.closest("tbody"))) move(1);
    else if (key === "k" || (key === "ArrowUp" && event.target.closest("tbody"))) move(-1);
    else done = false;
    if (done) event.preventDefault();
  });

  const choose = (change) => { Object.assign(state, change, { page: 0 }); refresh(); };
  const sortBy = (column) => choose({ sort: state.sort?.key === column.key
    ? { key: column.key, falling: !state.sort.falling } : { key: column.key, falling: column.falling } });

  for (const column of COLUMNS) {
    column.th = h("th", { role: "columnheader", scope: "col", class: `c-${column.key}` }, h("button", { type: "button", onclick: () => sortBy(column) }, column.title));
  }
  $("table").tHead.rows[0].append(...COLUMNS.map((column) => column.th));
  $("f-sort").append(h("option", { value: "" }, "Row"), ...COLUMNS.filter((column) => column.key !== "reason").flatMap((column) => [
    h("option", { value: `${column.key} true` }, `${column.title}, falling`), h("option", { value: `${column.key} false` }, `${column.title}, rising`)]));
  // Rows may bring criteria of one name; they are chosen together.
  const named = new Map(criteria.map((criterion) => [criterion.name, criterion.heading]));
  $("f-criterion").append(...[...named].map(([name, title]) => h("option", { value: name }, title)));
  const NAMES = { first: "First better", second: "Second better", tie: "Tie" };
  const values = [...new Set(rows.map((row) => row.value))].filter((value) => value !== null);
  values.sort((a, b) => (typeof a === typeof b ? (a < b ? -1 : 1) : typeof a === "number" ? -1 : 1));
  $("f-score").append(...values.map((value) => h("option", { value }, NAMES[value] ?? String(value))));

  let typed = 0;
  $("q").addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(search, 140); });
  $("tools").addEventListener("submit", (event) => event.preventDefault());
  $("f-criterion").addEventListener("change", (event) => choose({ criterion: event.target.value, number: "" }));
  $("f-score").addEventListener("change", (event) => choose({ score: event.target.value }));
  $("f-sort").addEventListener("change", (event) => {
    const [key, falling] = event.target.value.split(" ");
    choose({ sort: key ? { key, falling: falling === "true" } : null });
  });
  $("f-failed").addEventListener("click", () => choose({ failed: !state.failed, code: "" }));
  $("f-doubtful").addEventListener("click", () => choose({ doubtful: !state.doubtful, sort: null }));
  function clear() {
    $("q").value = $("f-criterion").value = $("f-score").value = "";
    matched = null;
    searching += 1;
    choose({ criterion: "", number: "", score: "", failed: false, code: "", doubtful: false, sort: null });
  }
  $("f-clear").addEventListener("click", clear);
  const leaf = (step) => { state.page += step; draw(); $("tools").scrollIntoView(); };
  $("prev").addEventListener("click", () => leaf(-1));
  $("next").addEventListener("click", () => leaf(1));
  for (const button of document.querySelectorAll("button[data-score], button[data-failure]")) {
    button.addEventListener("click", () => {
      clear();
      const { score, failure } = button.dataset;
      if (failure) choose({ failed: true, code: failure });
      else {
        const { criterion, number: own } = button.dataset;
        $("f-criterion").value = criterion;
        $("f-score").value = score;
        choose({ criterion, number: own === undefined ? "" : Number(own), score });
      }
      $("outcomes").scrollIntoView();
      $("outcomes").focus({ preventScroll: true });
    });
  }
  addEventListener("hashchange", follow);
  refresh();
  follow();
}
})();
