/* The page of a served model: enter a sequence, and see its predictions. */
"use strict";

(function () {
  const find = (id) => document.getElementById(id);
  const PEN_WIDTH = 22;
  const PAUSE = 350; // milliseconds after the last stroke
  let token = null;
  let card = null;
  let newest = 0; // the number of the newest request; older answers are dropped
  let player = null;

  async function ask(path, options = {}) {
    const headers = { ...options.headers };
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch {
      throw new Error("The server does not answer. Is it still running?");
    }
    const content = await response.json().catch(() => null);
    if (response.ok) return content;
    if (response.status === 401) showTokenForm();
    throw new Error(content?.error?.message ?? `The server answered with status ${response.status}.`);
  }

  function showTokenForm() {
    find("token-form").hidden = false;
    find("token-problem").textContent = token === null ? "" : "This token is wrong.";
    find("title").textContent = "A model served by bothways";
    find("token").focus();
  }

  find("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    token = find("token").value.trim();
    find("links").hidden = true; // links cannot contain the token
    find("token-form").hidden = true;
    start();
  });

  async function start() {
    try {
      card = await ask("/model");
    } catch (error) {
      if (find("token-form").hidden) {
        find("title").textContent = "The model cannot be shown";
        find("lead").textContent = error.message;
      }
      return;
    }
    document.title = `${card.model}, bothways`;
    find("title").textContent = card.reads_digits ? "Draw a digit, and see how it is classified" : "Classify a sequence";
    const what = card.target === "step" ? "predicts for each time step" : "predicts";
    find("lead").textContent = `${card.model}; it ${what} one of ${card.classes.length} classes: ${listed(card.classes)}.`;
    find("playback-help").textContent = card.target === "step"
      ? "The first map shows the prediction for each time step from the steps up to it, the second from it and the steps after it, the third from all of them."
      : (card.reads_digits ? "The picture is shown as the model sees it: 28 rows of 28 pixels, read row by row. " : "") + "The first map shows the prediction from the first t steps alone, the second from the last t steps alone, for every t.";
    find("inputs").hidden = false;
    find("digit-input").hidden = !card.reads_digits;
    find("table-input").hidden = false;
    find("examples").hidden = !card.has_examples;
    describeTable();
  }

  function listed(names) {
    return names.length <= 12 ? names.join(", ") : `${names.slice(0, 11).join(", ")} and ${names.length - 11} more`;
  }

  function describeTable() {
    const names = card.features.length ? card.features : Array.from({ length: card.input_size }, (_, n) => `feature ${n}`);
    find("table-help").textContent =
      `One line for each time step, with ${card.input_size} ${card.input_size === 1 ? "value" : "values"} separated by commas: ${listed(names)}. ` +
      "The first line may contain these names, in any order.";
  }

  /* Send a sequence and show the prediction. */
  async function read(body, type) {
    const number = ++newest;
    find("problem").textContent = "";
    try {
      const found = await ask("/playback", { method: "POST", headers: { "Content-Type": type }, body });
      if (number === newest) show(found);
    } catch (error) {
      if (number === newest) showProblem(error.message);
    }
  }

  function forget() {
    newest++;
    find("problem").textContent = "";
    find("answer").replaceChildren();
    find("segments").replaceChildren();
    find("playback-panel").hidden = true;
    if (player) player.pause();
  }

  function showProblem(text) {
    forget();
    find("problem").textContent = text;
  }

  function show({ playback, prediction }) {
    const answer = find("answer");
    if (playback.target === "step") {
      const count = prediction.segments.length;
      answer.replaceChildren(`${count} ${count === 1 ? "segment" : "segments"} in ${playback.steps} time steps`);
      showSegments(prediction.segments);
    } else {
      const ranked = Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]);
      const strong = document.createElement("strong");
      strong.textContent = prediction.label;
      strong.classList.toggle("long", prediction.label.length > 8);
      answer.replaceChildren(strong, ranking(ranked.slice(0, 5)));
      find("segments").replaceChildren();
    }
    showPlayback([playback]);
  }

  /* Return a table of classes with their probabilities as bars. */
  function ranking(rows) {
    const table = document.createElement("table");
    table.className = "ranking";
    for (const [name, probability] of rows) {
      const row = table.insertRow();
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      const cell = document.createElement("td");
      const bar = document.createElement("i");
      bar.className = "bar all";
      bar.style.width = `${100 * probability}%`;
      bar.setAttribute("aria-hidden", "true");
      const text = document.createElement("span");
      text.textContent = percent(probability);
      cell.append(bar, text);
      row.append(head, cell);
    }
    return table;
  }

  function showPlayback(examples) {
    find("playback-panel").hidden = false;
    if (player) player.load(examples);
    else player = window.bothwaysPlayback(find("playback"), examples);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) player.start();
  }

  function showSegments(segments) {
    const table = document.createElement("table");
    const shown = segments.slice(0, 500);
    table.createCaption().textContent =
      shown.length < segments.length ? `The first ${shown.length} of ${segments.length} segments` : "Segments";
    const head = table.createTHead().insertRow();
    for (const name of ["label", "start", "end", "probability"]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const { label, start, end, probability } of shown) {
      const row = body.insertRow();
      for (const value of [label, start, end, percent(probability)]) row.insertCell().textContent = value;
    }
    find("segments").replaceChildren(table);
  }

  const percent = (value) => `${(100 * value).toFixed(1)} %`;

  find("examples").addEventListener("click", async () => {
    const button = find("examples");
    button.disabled = true;
    button.textContent = "Reading the data …";
    try {
      const { examples } = await ask("/examples");
      if (!examples.length) throw new Error("The data of the run could not be read, so there are no examples.");
      forget();
      showPlayback(examples);
      find("playback-panel").scrollIntoView({ block: "nearest" });
    } catch (error) {
      find("problem").textContent = error.message;
    }
    button.disabled = false;
    button.textContent = "Show examples of the data";
  });

  /* The drawing area: a list of strokes, each a list of points in canvas pixels. */
  const pad = find("pad");
  let strokes = [];
  let timer = 0;
  let pen = { x: 140, y: 60, isDown: false, isShown: false };

  function redraw() {
    const context = pad.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, pad.width, pad.height);
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = PEN_WIDTH;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of strokes) {
      context.beginPath();
      stroke.forEach(([x, y], n) => (n ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (stroke.length === 1) context.lineTo(stroke[0][0] + 0.1, stroke[0][1]);
      context.stroke();
    }
    return context;
  }

  function showPen() {
    const context = redraw();
    if (!pen.isShown) return;
    context.strokeStyle = pen.isDown ? "#ff9f40" : "#62b0ff";
    context.lineWidth = 3;
    context.beginPath();
    context.arc(pen.x, pen.y, PEN_WIDTH / 2, 0, 2 * Math.PI);
    context.stroke();
  }

  function changed() {
    showPen();
    clearTimeout(timer);
    if (!strokes.length) {
      forget();
      return;
    }
    timer = setTimeout(() => {
      redraw();
      pad.toBlob((blob) => {
        showPen();
        read(blob, "image/png");
      }, "image/png");
    }, PAUSE);
  }

  function place(event) {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) * pad.width) / box.width, ((event.clientY - box.top) * pad.height) / box.height];
  }

  pad.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return; // another finger does not draw
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    pen.isShown = false;
    clearTimeout(timer);
    strokes.push([place(event)]);
    redraw();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!pad.hasPointerCapture(event.pointerId) || !strokes.length) return;
    const between = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).push(...(between.length ? between : [event]).map(place));
    redraw();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    pad.addEventListener(name, (event) => {
      if (!pad.hasPointerCapture(event.pointerId)) return;
      pad.releasePointerCapture(event.pointerId);
      changed();
    });
  }
  pad.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "Escape") {
      strokes = [];
      pen.isDown = false;
      changed();
    } else if (event.key === " ") {
      pen.isShown = true;
      pen.isDown = !pen.isDown;
      if (pen.isDown) strokes.push([[pen.x, pen.y]]);
      find("pen-state").textContent = pen.isDown ? "pen down" : "pen up";
      changed();
    } else if (event.key in moves) {
      const [x, y] = moves[event.key];
      pen.isShown = true;
      pen.x = Math.min(pad.width - 12, Math.max(12, pen.x + 8 * x));
      pen.y = Math.min(pad.height - 12, Math.max(12, pen.y + 8 * y));
      if (pen.isDown) strokes.at(-1).push([pen.x, pen.y]);
      if (pen.isDown) changed();
      else showPen();
    } else return;
    event.preventDefault();
  });
  pad.addEventListener("blur", () => {
    pen.isShown = pen.isDown = false;
    redraw();
  });
  find("clear").addEventListener("click", () => {
    strokes = [];
    changed();
  });
  find("undo").addEventListener("click", () => {
    strokes.pop();
    changed();
  });
  redraw();

  /* Files and text. */
  const TYPES = { csv: "text/csv", json: "application/json", npz: "application/x-npz", png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg" };

  function open(file) {
    const type = TYPES[file.name.split(".").pop().toLowerCase()];
    if (!type) showProblem(`${file.name} has an unknown extension; expected ${Object.keys(TYPES).join(", ")}.`);
    else read(file, type);
  }

  for (const id of ["picture", "file"]) {
    find(id).addEventListener("change", (event) => {
      if (event.target.files.length) open(event.target.files[0]);
      event.target.value = "";
    });
  }
  find("read").addEventListener("click", () => read(find("csv").value, "text/csv"));
  for (const id of ["digit-input", "table-input"]) {
    const section = find(id);
    section.addEventListener("dragover", (event) => {
      event.preventDefault();
      section.classList.add("dropping");
    });
    section.addEventListener("dragleave", () => section.classList.remove("dropping"));
    section.addEventListener("drop", (event) => {
      event.preventDefault();
      section.classList.remove("dropping");
      if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
    });
  }

  start();
})();
