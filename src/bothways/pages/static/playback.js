/* Playback: the predictions of a model from the first and from the last steps of a sequence.

   bothwaysPlayback(element, examples) draws into an element and returns a player, whose method
   load(examples) replaces the examples. An example is an object, as bothways.pages.playback_json
   returns it:

     name, steps       a name for people, and the number of time steps
     target            "sequence" or "step": what the answers belong to
     classes, others   names of the classes shown, and how many are not shown
     counts            numbers of steps read, increasing
     forward           [answer][class]: probabilities after the first counts[n] steps; with target
                       "step", those of the last step that was read
     backward          the same for the last counts[n] steps; with target "step", of the first of
                       them
     whole             [class], or [answer][class] with target "step": after all steps
     best              {forward, backward, whole}: [answer], the index into classes of the most
                       probable class, or -1 if it is not shown; whole has one if target is
                       "sequence"
     settled           numbers of first and of last steps from which the answer stays the same
     answer, truth     class names; truth may be null; with target "step", truth is an array of
                       indices into classes, -1 for none
     parts             {forward, backward}: [answer][direction][class], what the directions add to
                       the logits; only for single bidirectional networks that label
                       sequences
     drawing           {kind: "picture", width, height, levels} or {kind: "lines", at, lines, others}
*/
"use strict";

(function () {
  const SVG = "http://www.w3.org/2000/svg";
  const MILLISECONDS = 2600;

  function make(tag, attributes = {}, ...children) {
    const isSvg = ["svg", "rect", "line", "polyline", "path", "title"].includes(tag);
    const element = isSvg ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }

  const percent = (value) =>
    value > 0.9995 || value < 0.0005 ? `${Math.round(100 * value)} %` : `${(100 * value).toFixed(1)} %`;
  const unitOf = ({ drawing }) => (drawing.kind === "picture" ? "row" : "step");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  class Playback {
    constructor(element) {
      this.timer = null;
      element.classList.add("playback");
      this.play = make("button", { type: "button", class: "primary" }, "Play");
      this.play.addEventListener("click", () => this.toggle());
      this.slider = make("input", { type: "range", min: 0, step: 1, "aria-label": "Steps read" });
      this.slider.addEventListener("input", () => {
        this.pause();
        this.show(Number(this.slider.value));
      });
      this.output = make("output", { "aria-live": "off" });  // the slider announces its value
      this.body = make("div");
      this.choice = make("div", { class: "playback-examples", role: "group", "aria-label": "Examples" });
      const controls = make("div", { class: "playback-controls" }, this.play, this.slider, this.output);
      element.replaceChildren(this.choice, controls, this.body);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.at));
    }

    load(examples) {
      this.examples = examples;
      this.buttons = examples.map((example, n) => this.button(example, n));
      this.choice.replaceChildren(...(examples.length > 1 ? this.buttons : []));
      this.choose(0);
    }

    button(example, n) {
      const button = make("button", { type: "button" });
      if (example.drawing.kind === "picture") {
        const canvas = make("canvas", { "aria-hidden": "true" });
        paint(canvas, example.drawing);
        button.append(canvas);
      }
      const isStep = example.target === "step";
      const isWrong = !isStep && example.truth !== null && example.truth !== example.answer;
      const text = isStep ? example.name : isWrong ? `${example.truth} → ${example.answer}` : example.answer;
      button.append(make("span", { class: isWrong ? "wrong" : "", title: text }, text));
      button.setAttribute(
        "aria-label",
        isStep ? example.name : `${example.name}, prediction ${example.answer}` + (isWrong ? `, truth ${example.truth}` : "")
      );
      button.addEventListener("click", () => this.choose(n));
      return button;
    }

    choose(n) {
      this.pause();
      this.buttons.forEach((button, m) => button.setAttribute("aria-pressed", String(m === n)));
      this.example = this.examples[n];
      this.slider.max = this.example.counts.length - 1;
      this.build();
      this.show(this.example.counts.length - 1);
    }

    /* Build what depends on the example but not on the cursor. */
    build() {
      const { example } = this;
      const isStep = example.target === "step";
      const views = make("div", { class: "playback-views" });
      const maps = make("div");
      this.cursors = [];
      this.drawing = example.drawing.kind === "picture" ? new Picture(example) : new Lines(example);
      if (example.drawing.kind === "picture") {
        views.classList.add("with-picture");
        views.append(this.drawing.element);
      } else {
        maps.append(this.drawing.element);
      }
      const all = example.whole;
      maps.append(
        this.map(isStep ? "Each step, from the steps up to it" : `First t ${unitOf(example)}s`, "first", example.forward, false),
        this.map(isStep ? "Each step, from it and the steps after it" : `Last t ${unitOf(example)}s`, "last", example.backward, true)
      );
      if (isStep) maps.append(this.map("Each step, from the whole sequence", "all", all, false));
      views.append(maps);
      this.table = new ProbabilityTable(example);
      const parts = [views];
      if (!isStep) parts.push(make("p", { class: "playback-settled" }, settledText(example)));
      parts.push(this.table.element);
      this.contributions = example.parts ? new ContributionTable(example) : null;
      if (this.contributions) parts.push(this.contributions.element);
      if (example.others) parts.push(make("p", { class: "note" }, `${example.others} more ${example.others === 1 ? "class" : "classes"} with lower probabilities.`));
      this.body.replaceChildren(...parts);
    }

    /* Return a map of probabilities: a row for each class, a column for each answer. */
    map(title, kind, answers, fromEnd) {
      const { steps, counts, classes, settled, target, truth } = this.example;
      const height = 15 * classes.length;
      const top = Math.max(...answers.flat());
      const scale = top < 0.5 ? top : 1; // with many classes, all probabilities may be small
      const svg = make("svg", {
        viewBox: `0 0 ${steps} ${height}`, preserveAspectRatio: "none", height, role: "img",
        "shape-rendering": "crispEdges",
        "aria-label": `${title}: probabilities of ${classes.length} classes over ${steps} steps`,
      });
      counts.forEach((count, n) => {
        const before = n ? counts[n - 1] : 0;
        const x = fromEnd ? steps - count : before;
        answers[n].forEach((probability, row) => {
          if (probability < 0.02 * scale) return;
          svg.append(make("rect", {
            x, y: 15 * row + 1, width: count - before, height: 13,
            fill: `var(--${kind === "first" ? "series-0" : kind === "last" ? "series-1" : "muted"})`,
            "fill-opacity": (0.08 + (0.92 * probability) / scale).toFixed(3),
          }));
        });
      });
      if (target === "step" && Array.isArray(truth)) {
        counts.forEach((count, n) => {
          const before = n ? counts[n - 1] : 0;
          if (truth[n] >= 0) {
            svg.append(make("rect", { x: before, y: 15 * truth[n] + 12.5, width: count - before, height: 2.5, fill: "var(--ink)" }));
          }
        });
      }
      if (settled) {
        const place = fromEnd ? steps - settled[1] : settled[0];
        svg.append(make("line", {
          x1: place, x2: place, y1: 0, y2: height, stroke: "var(--ink)", "stroke-width": 1.5,
          "stroke-dasharray": "3 3", "vector-effect": "non-scaling-stroke",
        }, make("title", {}, "from here on, the prediction no longer changes")));
      }
      const cursor = make("line", {
        y1: 0, y2: height, stroke: "var(--ink)", "stroke-width": 2.5, "vector-effect": "non-scaling-stroke",
      });
      svg.append(cursor);
      this.cursors.push((place) => ["x1", "x2"].forEach((name) => cursor.setAttribute(name, place(fromEnd))));
      const names = make("div", { class: "playback-names", "aria-hidden": "true" });
      names.append(...classes.map((name) => make("span", { class: name === truth ? "true" : "", title: name }, name)));
      const unit = unitOf(this.example);
      const axis = make("div", { class: "playback-axis", "aria-hidden": "true" },
        make("span", {}, `${unit} 1`), make("span", {}, `${unit} ${steps}`));
      return make("div", { class: "playback-map" },
        make("h3", {}, make("i", { class: kind }), scale < 1 ? `${title} (darkest: ${percent(top)})` : title),
        make("div", { class: "playback-grid" }, names, svg, axis));
    }

    show(at) {
      const { example } = this;
      const { counts, steps, target } = example;
      this.at = at;
      const count = counts[at];
      this.slider.value = at;
      if (target === "step") {
        const other = nearest(counts, steps - count + 1);
        this.cursors.forEach((move) => move(() => count - 0.5));
        this.drawing.show(count, steps - count + 1);
        const best = [example.best.forward[at], example.best.backward[other], example.best.whole[at]];
        this.table.show([example.forward[at], example.backward[other], example.whole[at]], best);
        this.report(`step ${count} of ${steps}`, at, other);
        return;
      }
      this.cursors.forEach((move) => move((fromEnd) => (fromEnd ? steps - count : count)));
      this.drawing.show(count, count);
      const best = [example.best.forward[at], example.best.backward[at], example.best.whole[0]];
      this.table.show([example.forward[at], example.backward[at], example.whole], best);
      if (this.contributions) this.contributions.show(example.parts.forward[at], example.parts.backward[at]);
      this.report(`${count} of ${steps} ${unitOf(example)}s read`, at, at);
    }

    report(text, first, last) {
      const { best, classes, forward, backward } = this.example;
      const told = (place, values) => (place < 0 ? "another class" : `${classes[place]} ${percent(values[place])}`);
      const predictions = [told(best.forward[first], forward[first]), told(best.backward[last], backward[last])];
      this.output.textContent = text;
      this.slider.setAttribute("aria-valuetext", `${text}; first: ${predictions[0]}; last: ${predictions[1]}`);
    }

    toggle() {
      if (this.timer === null) this.start();
      else this.pause();
    }

    start() {
      const last = this.example.counts.length - 1;
      const from = this.at >= last ? 0 : this.at;
      const pace = Math.max(16, MILLISECONDS / this.example.counts.length);
      const began = performance.now();
      this.play.textContent = "Pause";
      this.show(from);
      this.timer = setInterval(() => {
        const next = Math.min(last, from + Math.floor((performance.now() - began) / pace));
        if (next !== this.at) this.show(next);
        if (next === last) this.pause();
      }, 16);
    }

    pause() {
      clearInterval(this.timer);
      this.timer = null;
      this.play.textContent = "Play";
    }
  }

  function nearest(counts, wanted) {
    return counts.reduce((best, count, n) => (Math.abs(count - wanted) < Math.abs(counts[best] - wanted) ? n : best), 0);
  }

  function settledText(example) {
    const { settled, steps, answer, truth } = example;
    const unit = `${unitOf(example)}s`;
    const verdict = truth === null ? "" : truth === answer ? ", which is right" : `; the true class is ${truth}`;
    return `The prediction is ${answer}${verdict}. With the first ${settled[0]} of ${steps} ${unit} or more, it stays ` +
      `the same, and with the last ${settled[1]} or more (dashed lines).`;
  }

  /* The picture that is read row by row. Bars at its sides show which rows have been read. */
  class Picture {
    constructor({ drawing, name }) {
      this.drawing = drawing;
      this.element = make("canvas", { class: "playback-picture", role: "img", "aria-label": `Picture ${name}`.trim() });
    }

    show(first, last) {
      const { width, height, levels } = this.drawing;
      const scale = Math.max(4, Math.round(420 / (width + 4)));
      const canvas = this.element;
      canvas.width = (width + 4) * scale;
      canvas.height = height * scale;
      const context = canvas.getContext("2d");
      for (let row = 0; row < height; row++) {
        const isRead = row < first || row >= height - last;
        for (let column = 0; column < width; column++) {
          const level = levels[row * width + column];
          context.fillStyle = `rgb(${level} ${level} ${level})`;
          context.globalAlpha = isRead ? 1 : 0.35;
          context.fillRect((column + 2) * scale, row * scale, scale, scale);
        }
      }
      context.globalAlpha = 1;
      context.fillStyle = color("--series-0");
      context.fillRect(0, 0, 1.4 * scale, first * scale);
      context.fillStyle = color("--series-1");
      context.fillRect((width + 2.6) * scale, (height - last) * scale, 1.4 * scale, last * scale);
    }
  }

  function paint(canvas, { width, height, levels }) {
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    levels.forEach((level, n) => image.data.set([level, level, level, 255], 4 * n));
    context.putImageData(image, 0, 0);
  }

  /* The first features of a sequence, as lines; shaded areas show which steps have been read. */
  class Lines {
    constructor({ drawing, steps, name }) {
      this.steps = steps;
      const svg = make("svg", {
        class: "playback-lines", viewBox: `0 -4 ${steps} 108`, preserveAspectRatio: "none", role: "img",
        "aria-label": `Sequence ${name}`.trim() + `: ${drawing.lines.map((line) => line.name).join(", ")}`,
      });
      this.first = make("rect", { x: 0, y: -4, height: 108, fill: "var(--series-0)", "fill-opacity": 0.16 });
      this.last = make("rect", { y: -4, height: 108, fill: "var(--series-1)", "fill-opacity": 0.16 });
      svg.append(this.first, this.last);
      drawing.lines.forEach((line, n) => {
        const present = line.values.filter((value) => value !== null);
        const low = Math.min(...present);
        const span = Math.max(...present) - low;
        const y = (value) => (span > 0 ? 100 - (100 * (value - low)) / span : 50).toFixed(2);
        let points = [];
        const flush = () => {
          if (points.length === 1) points.push(points[0].replace(/^[^,]*/, (x) => Number(x) + 0.3));
          if (points.length) {
            svg.append(make("polyline", {
              points: points.join(" "), fill: "none", stroke: `var(--series-${(n + 2) % 10})`,
              "stroke-width": 1.5, "vector-effect": "non-scaling-stroke",
            }));
          }
          points = [];
        };
        line.values.forEach((value, m) => {
          if (value === null) flush();
          else points.push(`${drawing.at[m] + 0.5},${y(value)}`);
        });
        flush();
      });
      const key = make("div", { class: "note playback-key" });
      drawing.lines.forEach((line, n) => {
        const mark = make("i");
        mark.style.background = `var(--series-${(n + 2) % 10})`;
        key.append(make("span", {}, mark, `${line.name} `));
      });
      if (drawing.lines.length > 1) key.append("(each scaled to its own range) ");
      if (drawing.others) key.append(`and ${drawing.others} more ${drawing.others === 1 ? "feature" : "features"}`);
      this.element = make("div", { class: "playback-map" }, svg, key);
    }

    show(first, last) {
      this.first.setAttribute("width", first);
      this.last.setAttribute("x", this.steps - last);
      this.last.setAttribute("width", last);
    }
  }

  function header(text, kind) {
    return make("th", { scope: "col" }, make("i", { class: kind, "aria-hidden": "true" }), text);
  }

  class ProbabilityTable {
    constructor({ classes, target, truth }) {
      const isStep = target === "step";
      this.rows = classes.map((name) => {
        const cells = ["first", "last", "all"].map((kind) => new BarCell(kind));
        const row = make("tr", { class: name === truth ? "true" : "" }, make("th", { scope: "row" }, name), ...cells.map((cell) => cell.element));
        return { row, cells };
      });
      this.element = make("table", { class: "playback-table" },
        make("caption", { class: "visually-hidden" }, "Probabilities at the cursor"),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "class"),
          header(isStep ? "up to it" : "first t", "first"), header(isStep ? "from it on" : "last t", "last"), header("all", "all"))),
        make("tbody", {}, ...this.rows.map(({ row }) => row)));
    }

    show(columns, best) {
      this.rows.forEach(({ cells }, n) => {
        cells.forEach((cell, m) => cell.show(percent(columns[m][n]), columns[m][n], n === best[m]));
      });
    }
  }

  class BarCell {
    constructor(kind) {
      this.bar = make("i", { class: `bar ${kind}`, "aria-hidden": "true" });
      this.text = make("span");
      this.element = make("td", {}, this.bar, this.text);
    }

    show(text, share, isBest) {
      this.text.textContent = text;
      this.bar.style.width = `${100 * share}%`;
      this.element.classList.toggle("best", isBest);
    }
  }

  /* What each direction adds to the logits, from the first and from the last steps. */
  class ContributionTable {
    constructor({ classes, truth, parts }) {
      this.scale = Math.max(...parts.forward.flat(2).map(Math.abs), ...parts.backward.flat(2).map(Math.abs), 1e-9);
      this.rows = classes.map((name) => {
        const cells = ["first", "last", "first", "last"].map((kind) => new SignedCell(kind));
        const row = make("tr", { class: name === truth ? "true" : "" }, make("th", { scope: "row" }, name), ...cells.map((cell) => cell.element));
        return { row, cells };
      });
      const group = (text) => make("th", { scope: "colgroup", colspan: 2 }, text);
      this.element = make("details", {},
        make("summary", {}, "What each direction of the network adds to the logits"),
        make("table", { class: "playback-table" },
          make("thead", {},
            make("tr", {}, make("td"), group("first t steps"), group("last t steps")),
            make("tr", {}, make("th", { scope: "col" }, "class"), header("forward", "first"), header("backward", "last"), header("forward", "first"), header("backward", "last"))),
          make("tbody", {}, ...this.rows.map(({ row }) => row))));
    }

    show(forward, backward) {
      const columns = [...forward, ...backward];
      this.rows.forEach(({ cells }, n) => cells.forEach((cell, m) => cell.show(columns[m][n], this.scale)));
    }
  }

  class SignedCell {
    constructor(kind) {
      this.bar = make("i", { class: `bar ${kind}`, "aria-hidden": "true" });
      this.text = make("span");
      this.element = make("td", {}, this.bar, this.text);
    }

    show(value, scale) {
      const share = (50 * Math.abs(value)) / scale;
      this.text.textContent = (value > 0 ? "+" : "") + value.toFixed(1).replace("-", "−");
      this.bar.style.width = `${share}%`;
      this.bar.style.left = `${value < 0 ? 50 - share : 50}%`;
    }
  }

  window.bothwaysPlayback = (element, examples) => {
    const player = new Playback(element);
    player.load(examples);
    return player;
  };
})();
