/** What stands beside and over the pictures of the Label page. Shows what it is told; decides nothing. */

import { panel } from "./anomaly.js";
import { el, say } from "./dom.js";

const quiet = (text = "") => el("p", { class: "quiet" }, text);

export class LabelPanel {
  /** page: its classes, and what its buttons do. */
  constructor(viewer, page) {
    this.page = page;
    this.over = el("div", { class: "label-over", hidden: true });
    viewer.stage.after(this.over);
    this.progress(viewer);
    this.choices(viewer);
    this.lastCase(viewer);
    this.labels(viewer);
    this.models(viewer);
  }

  button(key, word, run, kind = "") {
    return el("button", { type: "button", class: kind, "data-key": key, onclick: (event) => {
      event.currentTarget.blur();
      run(event);
    } }, el("kbd", {}, key), ` ${word}`);
  }

  progress(viewer) {
    this.count = el("h2", {});
    this.bar = el("progress", { "aria-label": "Progress" });
    this.pace = quiet();
    this.advice = quiet();
    this.fresh = quiet();
    panel(viewer, 0, this.count, this.bar, this.pace, this.advice, this.fresh);
  }

  choices(viewer) {
    const { page } = this;
    this.head = el("h2", {}, "This case");
    this.why = quiet();
    this.said = el("ul", { class: "said" });
    this.classes = page.classes.map((name, n) => this.button(String(n + 1), name, (event) => page.label(n, event), "class"));
    this.acts = el("div", { class: "choices" },
      this.button("S", "skip", (event) => page.skip(event)), this.button("U", "undo", (event) => page.undo(event)), this.button("F", "flag", () => page.flag()));
    this.reason = el("input", { type: "text", maxlength: 200, placeholder: "Why? Enter saves, Esc leaves it", "aria-label": "Why it is flagged", hidden: true });
    this.reason.addEventListener("keydown", (event) => this.typed(event));
    this.state = el("p", { class: "label-state", role: "status" });
    this.problem = el("p", { class: "label-problem", role: "alert", hidden: true });
    panel(viewer, 1, this.head, this.why, this.said, el("div", { class: "classes" }, ...this.classes), this.acts, this.reason, this.state, this.problem);
  }

  typed(event) {
    event.stopPropagation(); // the page's own shortcuts are not meant
    if (event.key === "Enter" || event.key === "Escape") {
      this.page.flagged(event.key === "Enter" ? this.reason.value.trim() : null);
      this.reason.value = "";
      this.reason.hidden = true;
      this.reason.blur();
    }
  }

  askReason() {
    this.reason.hidden = false;
    this.reason.focus();
  }

  lastCase(viewer) {
    this.last = el("p", {});
    this.opinion = el("div", { class: "opinion" });
    this.lastPart = panel(viewer, 2, el("h2", {}, "The case before"), this.last, this.opinion);
    this.lastPart.hidden = true;
  }

  labels(viewer) {
    this.history = el("ol", { class: "history", role: "listbox", "aria-label": "Your labels" });
    this.historyHint = quiet();
    this.historyPart = panel(viewer, 3, el("h2", {}, "Your labels ", el("kbd", {}, "H")), this.historyHint, this.history);
    this.historyPart.classList.add("grows");
  }

  models(viewer) {
    this.trainButton = this.button("T", "Train now", () => this.page.train(), "wide");
    this.training = quiet();
    this.trainingBar = el("progress", { hidden: true, max: 1, "aria-label": "Training" });
    this.adjudicateButton = this.button("J", "Adjudicate", () => this.page.adjudicate(), "wide");
    panel(viewer, 4, this.trainButton, this.trainingBar, this.training, this.adjudicateButton);
  }

  /** A message in place of the pictures; "" takes it away. */
  message(title, ...sentences) {
    this.over.hidden = !title;
    this.over.replaceChildren(el("div", { class: "words" }, el("h3", {}, title), ...sentences.filter(Boolean).map((text) => el("p", {}, text))));
  }

  /** Ask who reads; run(name) is called with it. */
  askName(name, classes, unit, run) {
    const input = el("input", { type: "text", maxlength: 60, value: name, autocomplete: "off", spellcheck: "false", "aria-label": "Your name" });
    input.addEventListener("keydown", (event) => event.stopPropagation());
    this.nameProblem = el("p", { class: "label-problem", role: "alert", hidden: true });
    const form = el("form", { onsubmit: (event) => { event.preventDefault(); run(input.value.trim()); } },
      el("label", {}, "Your name ", input), el("button", { type: "submit", class: "go" }, "Begin"));
    const keys = classes.flatMap((word, n) => [el("kbd", {}, String(n + 1)), ` ${word}   `]);
    this.over.hidden = false;
    this.over.replaceChildren(el("div", { class: "words" }, el("h3", {}, "Who reads?"),
      el("p", {}, `One ${unit === "study" ? "study" : "scan"} at a time; one key says what it shows:`), el("p", { class: "keys" }, ...keys),
      el("p", {}, "Each label is on the disk before the next case comes; you may stop at any time and go on later under the same name. No other reader's answers are shown, and what a model thinks of a case is shown after your label alone."),
      form, this.nameProblem));
    input.focus();
  }

  refuseName(text) {
    this.nameProblem.hidden = !text;
    say(this.nameProblem, text);
  }

  /** state: as the server tells it; minutes: a label, of this session. */
  show(state, pace) {
    const { done, total, left, hint, history, training } = state;
    say(this.count, `${done} labelled, ${left} to go`);
    this.bar.max = Math.max(total, 1);
    this.bar.value = done;
    say(this.pace, pace);
    say(this.advice, hint);
    this.list(history);
    this.trained(training);
  }

  /** What has changed while cases were read; the first label after it takes it away. */
  news(text) {
    say(this.fresh, text);
  }

  list(history, chosen = -1) {
    this.history.replaceChildren(...history.map((one, n) => el("li", {
      role: "option", tabindex: -1, "aria-selected": String(n === chosen), onclick: () => this.page.openLabel(one.event),
    }, el("span", { class: "number" }, `${one.number}`), el("span", { class: "value" }, one.value), el("span", { class: "quiet" }, one.time))));
    this.history.children[chosen]?.scrollIntoView({ block: "nearest" });
    say(this.historyHint, chosen >= 0 ? "↑ ↓ choose, Enter opens it, Esc leaves." : history.length ? "" : "None yet.");
  }

  trained({ told, share, alive, fresh, lack }) {
    this.trainButton.lastChild.textContent = ` Train now (${fresh} new ${fresh === 1 ? "label" : "labels"})`;
    this.trainButton.disabled = alive || Boolean(lack);
    this.trainingBar.hidden = !alive;
    if (share === null) {
      this.trainingBar.removeAttribute("value");
    } else {
      this.trainingBar.value = share;
    }
    say(this.training, alive ? told : [told, lack].filter(Boolean).join(" "));
  }

  /** The case on the screen, null for none. head: what it is shown for. */
  opened(info, head) {
    say(this.head, head);
    say(this.why, info?.why ?? "");
    this.said.replaceChildren(...(info?.said ?? []).map(({ reader, value }) => el("li", {}, el("b", {}, reader), ` ${value}`)));
    this.classes.forEach((button, n) => button.setAttribute("aria-pressed", String(info?.value === this.page.classes[n])));
  }

  /** Whether a key counts now. */
  ready(on) {
    this.classes.forEach((button) => button.classList.toggle("waiting", !on));
  }

  /** What was saved, and what a model thinks of that case: only now. */
  before(words, opinion) {
    this.lastPart.hidden = !words;
    say(this.last, words);
    const rows = Object.entries(opinion ?? {}).sort((a, b) => b[1] - a[1]);
    this.opinion.replaceChildren(...rows.flatMap(([name, share]) => [
      el("span", {}, name), el("span", { class: "share" }, el("i", { style: `width: ${(100 * share).toFixed(0)}%` })), el("span", { class: "percent" }, `${(100 * share).toFixed(0)} %`),
    ]));
  }

  tell(text, kind = "") {
    say(this.state, text);
    this.state.dataset.kind = kind;
  }

  /** What went wrong, until it is mended; "" takes it away. */
  warn(text) {
    this.problem.hidden = !text;
    say(this.problem, text);
  }
}
