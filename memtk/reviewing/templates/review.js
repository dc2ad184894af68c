"use strict";
(() => {
  const meta = JSON.parse(document.getElementById("meta").textContent);
  const $ = id => document.getElementById(id);
  const all = selector => [...document.querySelectorAll(selector)];
  const offline = meta.offline, names = meta.names, dims = meta.shape.length;
  const store = `memtk-review ${meta.draw} ${meta.reader}`;
  document.body.classList.add(dims === 3 ? "d3" : "d2");

  /* Labels: on this machine at once, and at the server as soon as it answers. */
  const kept = { labels: {}, pending: {}, ...stored() }, labels = { ...meta.labels };
  let canKeep = true, sending = false;
  takeOver(kept.labels);
  try { localStorage.setItem(store, JSON.stringify(kept)); } catch (error) { canKeep = false; }
  let unsaved = Object.keys(kept.pending).length > 0;

  function stored() {
    try { return JSON.parse(localStorage.getItem(store)) || {}; } catch (error) { return {}; }
  }

  /* Take over the labels that are later than those of this tab; the server may not have them. */
  function takeOver(others) {
    for (const name of names) {
      const said = others[name];
      if (!said || (labels[name] && labels[name].at >= said.at)) continue;
      labels[name] = said;
      if (!offline) kept.pending[name] = said;
    }
  }

  function keep() {
    takeOver(stored().labels || {});  // another tab may have written
    kept.labels = labels;
    try { localStorage.setItem(store, JSON.stringify(kept)); } catch (error) { canKeep = false; }
    if (offline && !canKeep) tell("Labels are kept in this tab alone: save them before you close it.");
  }

  function tell(text) { $("saved").textContent = text; }

  async function send() {
    if (offline || sending || !Object.keys(kept.pending).length) return;
    sending = true;
    const now = { ...kept.pending };
    let told = "";
    try {
      const answer = await fetch("labels", {
        method: "POST", headers: { "Content-Type": "application/json" },
        body: JSON.stringify(now), keepalive: true,
      });
      if (!answer.ok) throw new Error(answer.status);
      for (const name of Object.keys(now)) {
        if (kept.pending[name] && kept.pending[name].at === now[name].at) delete kept.pending[name];
      }
      keep();
    } catch (error) {
      told = "Is memtk review still running? It is tried again. "
        + (unsaved ? "Else save the labels, for memtk review --add." : "The labels are in labels.json.");
    }
    sending = false;
    $("save").hidden = !told;
    tell(told);
    if (Object.keys(kept.pending).length) setTimeout(send, told ? 2000 : 0);
  }

  /* Voxels: 16 bits each, as they are stored. */
  const channels = meta.channels;
  const count = channels * meta.shape.reduce((a, b) => a * b, 1);
  const cache = new Map();

  async function voxels(name) {
    let bytes;
    if (offline) {
      const text = atob($(`pair-${name}`).textContent);
      const packed = Uint8Array.from(text, c => c.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
      bytes = await new Response(stream).arrayBuffer();
    } else {
      const answer = await fetch(`pair/${name}`);
      if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
      bytes = await answer.arrayBuffer();
    }
    const view = new DataView(bytes), values = new Uint16Array(2 * count);
    for (let i = 0; i < values.length; i++) values[i] = view.getUint16(2 * i, true);
    return [values.subarray(0, count), values.subarray(count)];
  }

  function fetched(name) {
    if (!cache.has(name)) {
      const coming = voxels(name);
      coming.catch(() => cache.delete(name));
      cache.set(name, coming);
      if (cache.size > 6) cache.delete(cache.keys().next().value);
    }
    return cache.get(name);
  }

  /* Planes: one of a picture, three of a volume; normal, row axis, column axis. */
  const planes = dims === 3
    ? [["across D", 0, 1, 2], ["across H", 1, 0, 2], ["across W", 2, 0, 1]]
    : [["", -1, 0, 1]];
  const strides = meta.shape.map((_, k) => meta.shape.slice(k + 1).reduce((a, b) => a * b, 1));
  const state = {
    at: 0, mode: "side", pair: null, paused: false, blink: false, active: 0, spent: 0,
    channel: channels === 3 ? -1 : 0,  // -1: three as the colours red, green and blue
  };
  const view = {};

  function resetView() {
    Object.assign(view, {
      zoom: 1, pan: planes.map(() => [0, 0]), slice: meta.shape.map(n => n >> 1),
      flip: meta.shape.map(() => false), angle: planes.map(() => 0),
    });
  }
  const greys = meta.windows.map(([low, high]) => ({ low, high }));  // of each channel, of all
  let grey = greys.at(state.channel);
  resetView();

  const figures = planes.map(([title, normal], k) => {
    const figure = document.createElement("figure");
    const two = document.createElement("div");
    two.className = "two";
    const held = new Map();  // fingers on either half
    const halves = ["training", "synthetic"].map(what => {
      const half = document.createElement("div"), canvas = document.createElement("canvas");
      const caption = document.createElement("span");
      half.className = "half";
      caption.textContent = what;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${what} image ${title}`);
      half.append(canvas, caption);
      two.append(half);
      listen(canvas, k, held);
      return { half, canvas, caption };
    });
    figure.append(two);
    let slider = null;
    if (normal >= 0) {
      const caption = document.createElement("figcaption"), text = document.createElement("span");
      slider = document.createElement("input");
      Object.assign(slider, { type: "range", min: 0, max: meta.shape[normal] - 1 });
      slider.setAttribute("aria-label", `slice ${title}`);
      slider.addEventListener("focus", () => choose(k));
      slider.addEventListener("input", () => { view.slice[normal] = +slider.value; choose(k); draw(); });
      caption.append(title, slider, text);
      figure.append(caption);
      slider.text = text;
    }
    $("views").append(figure);
    return { figure, halves, slider };
  });

  function choose(k) {
    state.active = k;
    figures.forEach((each, i) => each.figure.classList.toggle("active", dims === 3 && i === k));
  }

  /* Sampling: every pixel of the screen asks the voxels, so that 16 bits count and zoom is exact. */
  function sampler(values, k, turned, width, height) {
    const [, normal, r, c] = planes[k];
    const rows = meta.shape[r], columns = meta.shape[c], [dy, dx] = [meta.spacing[r], meta.spacing[c]];
    const scale = Math.min(width / (columns * dx), height / (rows * dy)) * view.zoom;
    const angle = turned ? (-view.angle[k] * Math.PI) / 180 : 0;
    const cos = Math.cos(angle), sin = Math.sin(angle), [px, py] = view.pan[k];
    const flipR = turned && view.flip[r], flipC = turned && view.flip[c];
    let slice = normal >= 0 ? view.slice[normal] : 0;
    if (turned && normal >= 0 && view.flip[normal]) slice = meta.shape[normal] - 1 - slice;
    const base = normal >= 0 ? slice * strides[normal] : 0, sr = strides[r], sc = strides[c];
    const size = count / channels;
    return (x, y, channel) => {
      const u = (x + 0.5 - width / 2 - px) / scale, v = (y + 0.5 - height / 2 - py) / scale;
      let column = (cos * u - sin * v) / dx + columns / 2 - 0.5;
      let row = (sin * u + cos * v) / dy + rows / 2 - 0.5;
      if (column < -0.5 || row < -0.5 || column > columns - 0.5 || row > rows - 0.5) return -1;
      if (flipC) column = columns - 1 - column;
      if (flipR) row = rows - 1 - row;
      const c0 = Math.max(0, Math.min(columns - 1, Math.floor(column)));
      const r0 = Math.max(0, Math.min(rows - 1, Math.floor(row)));
      const c1 = Math.min(columns - 1, c0 + 1), r1 = Math.min(rows - 1, r0 + 1);
      const fc = Math.max(0, Math.min(1, column - c0)), fr = Math.max(0, Math.min(1, row - r0));
      const o = channel * size + base;
      const a = values[o + r0 * sr + c0 * sc], b = values[o + r0 * sr + c1 * sc];
      const d = values[o + r1 * sr + c0 * sc], e = values[o + r1 * sr + c1 * sc];
      return (a * (1 - fc) + b * fc) * (1 - fr) + (d * (1 - fc) + e * fc) * fr;
    };
  }

  function paint(canvas, k, what) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    let width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height || !state.pair) return;
    const most = 900, down = Math.min(1, most / Math.max(width, height));
    width = Math.round(width * down);
    height = Math.round(height * down);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.ratio = ratio * down;
    const first = sampler(state.pair[0], k, false, width, height);
    const second = sampler(state.pair[1], k, true, width, height);
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    const shade = value => (value < 0 ? 0 : (255 * (value - grey.low)) / (grey.high - grey.low));
    const board = Math.max(8, Math.round(Math.min(width, height) / 8)), data = image.data;
    const colours = state.channel < 0 ? [0, 1, 2] : [state.channel];
    for (let y = 0, o = 0; y < height; y++) {
      for (let x = 0; x < width; x++, o += 4) {
        data[o + 3] = 255;
        if (what === "difference") {
          let sum = 0, seen = true;
          for (const c of colours) {
            const a = first(x, y, c), b = second(x, y, c);
            seen = seen && a >= 0 && b >= 0;
            sum += b - a;
          }
          const s = seen ? Math.max(-1, Math.min(1, sum / colours.length / ((grey.high - grey.low) / 2))) : 0;
          const plus = Math.max(0, s), minus = Math.max(0, -s);
          data[o] = 24 + 231 * plus + 40 * minus;
          data[o + 1] = 24 + 130 * plus + 140 * minus;
          data[o + 2] = 24 + 231 * minus;
          continue;
        }
        const other = what === "synthetic"
          || (what === "checker" && (Math.floor(x / board) + Math.floor(y / board)) % 2);
        const take = other ? second : first;
        data[o] = data[o + 1] = data[o + 2] = shade(take(x, y, colours[0]));
        for (let c = 1; c < colours.length; c++) data[o + c] = shade(take(x, y, colours[c]));
      }
    }
    context.putImageData(image, 0, 0);
  }

  let asked = false;
  function draw() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      const alone = state.mode !== "side";
      figures.forEach(({ halves, slider }, k) => {
        const shown = { side: "training", blink: state.blink ? "synthetic" : "training" }[state.mode] || state.mode;
        halves[1].half.hidden = alone;
        halves[0].caption.textContent = { checker: "both, checkerboard", difference: "synthetic − training" }[shown] || shown;
        paint(halves[0].canvas, k, shown);
        if (!alone) paint(halves[1].canvas, k, "synthetic");
        if (slider) {
          const at = view.slice[planes[k][1]];
          slider.value = at;
          slider.text.textContent = `${at + 1} / ${+slider.max + 1}`;
        }
      });
    });
  }

  /* Pointers: one sets brightness and contrast, or moves with Shift; two move and zoom. */
  function listen(canvas, k, held) {
    const ratio = () => canvas.ratio || 1;
    const fromMiddle = ([x, y]) => {
      const box = canvas.getBoundingClientRect();
      return [(x - box.x - box.width / 2) * ratio(), (y - box.y - box.height / 2) * ratio()];
    };
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      held.several = held.size > 0;
      if (held.several) Object.assign(grey, held.grey);  // the first finger of two set nothing
      else held.grey = { ...grey };
      held.set(event.pointerId, [event.clientX, event.clientY]);
      choose(k);
      draw();
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, event => held.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", event => event.preventDefault());
    canvas.addEventListener("pointermove", event => {
      const before = held.get(event.pointerId);
      if (!before) return;
      const now = [event.clientX, event.clientY], dx = now[0] - before[0], dy = now[1] - before[1];
      const others = [...held].filter(([id]) => id !== event.pointerId).map(([, where]) => where);
      held.set(event.pointerId, now);
      if (others.length) {
        const [ox, oy] = others[0], far = ([x, y]) => Math.hypot(x - ox, y - oy) || 1;
        zoom(far(now) / far(before), k, fromMiddle([(before[0] + ox) / 2, (before[1] + oy) / 2]));
        move(k, (dx * ratio()) / 2, (dy * ratio()) / 2);
      } else if (event.shiftKey || event.buttons & 6) {
        move(k, dx * ratio(), dy * ratio());
      } else if (!held.several) {  // else the last finger of two is about to leave
        const width = Math.max(64, (grey.high - grey.low) * Math.exp(dx / 200));
        const middle = (grey.high + grey.low) / 2 + ((grey.high - grey.low) * dy) / 300;
        grey.low = middle - width / 2;
        grey.high = middle + width / 2;
      }
      draw();
    });
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      choose(k);
      if (dims === 3 && !event.ctrlKey) scroll(event.deltaY > 0 ? 1 : -1);
      else zoom(event.deltaY > 0 ? 0.9 : 1 / 0.9, k, fromMiddle([event.clientX, event.clientY]));
    }, { passive: false });
  }

  function move(k, dx, dy) { view.pan[k] = [view.pan[k][0] + dx, view.pan[k][1] + dy]; }

  /* What lies at a point of plane k stays there; of the other planes what is in the middle. */
  function zoom(factor, k = 0, point = [0, 0]) {
    const by = Math.min(20, Math.max(0.5, view.zoom * factor)) / view.zoom;
    view.zoom *= by;
    view.pan = view.pan.map((pan, i) => pan.map((p, j) => p * by + (i === k ? point[j] * (1 - by) : 0)));
    draw();
  }
  function scroll(by) {
    const normal = planes[state.active][1];
    if (normal < 0) return;
    view.slice[normal] = Math.min(meta.shape[normal] - 1, Math.max(0, view.slice[normal] + by));
    draw();
  }
  function turn(how) {
    const [, , r, c] = planes[state.active];
    if (how === "mirror") view.flip[c] = !view.flip[c];
    else if (how === "flip") view.flip[r] = !view.flip[r];
    else view.angle[state.active] = (view.angle[state.active] + +how) % 360;
    draw();
  }
  function show(mode) {
    state.mode = mode;
    all("[data-mode]").forEach(b => b.setAttribute("aria-pressed", b.dataset.mode === mode));
    draw();
  }
  function pick(channel) {
    state.channel = channel;
    grey = greys.at(channel);
    all("[data-channel]").forEach(b => b.setAttribute("aria-pressed", +b.dataset.channel === channel));
    draw();
  }
  for (let c = channels === 3 ? -1 : 0; c < channels && channels > 1; c++) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", title: "h", textContent: c < 0 ? "Colour" : `Channel ${c + 1}` });
    button.dataset.channel = c;
    button.addEventListener("click", () => pick(c));
    $("channels").append(button);
  }
  $("channels").hidden = channels < 2;
  document.body.classList.toggle("plain", channels < 2);
  function resetAll() {
    resetView();
    meta.windows.forEach(([low, high], c) => Object.assign(greys[c], { low, high }));
    draw();
  }

  /* Reading. */
  const done = () => names.filter(name => labels[name]).length;
  function veil(text, button) {
    $("veil").hidden = !text;
    $("views").hidden = $("tools").hidden = $("say").hidden = Boolean(text);
    $("told").textContent = text || "";
    $("go").hidden = !button;
    $("go").textContent = button || "";
  }

  async function open(at) {
    if (at >= names.length) { finish(); return; }
    state.at = at;
    state.pair = null;
    state.spent = 0;
    const name = names[at];
    resetView();
    $("views").setAttribute("aria-busy", true);
    progress();
    let pair;
    try { pair = await fetched(name); } catch (error) {
      if (state.at === at) { veil(`This pair could not be read (${error.message}).`, "Try again"); }
      return;
    }
    if (state.at !== at) return;
    state.pair = pair;
    $("views").setAttribute("aria-busy", false);
    if (!state.paused) veil("");
    show("side");
    if (at + 1 < names.length) fetched(names[at + 1]).catch(() => {});
  }

  function progress() {
    const name = names[state.at], said = labels[name];
    $("bar").max = names.length;
    $("bar").value = done();
    const where = name ? `pair ${state.at + 1} of ${names.length}` : `${names.length} pairs`;
    $("count").textContent = `${where}, ${done()} read`;
    all("[data-label]").forEach(b => b.setAttribute("aria-pressed", Boolean(said) && said.label === b.dataset.label));
    $("back").disabled = state.at === 0;
  }

  function say(label) {
    if (state.paused || !state.pair) return;
    const name = names[state.at], before = labels[name];
    const seconds = Math.round(10 * (state.spent + (before ? before.seconds : 0))) / 10;
    labels[name] = { label, seconds, at: Date.now() / 1000 };
    if (!offline) kept.pending[name] = labels[name];
    unsaved = true;
    keep();
    send();
    onward();
  }

  function onward() {
    const after = [...names.keys()].map(i => (state.at + 1 + i) % names.length);
    const next = after.find(i => !labels[names[i]]);
    if (next === undefined) finish(); else open(next);
  }

  function finish() {
    Object.assign(state, { at: names.length, pair: null, spent: 0 });  // behind the last pair
    progress();
    veil(
      `All ${names.length} pairs are read. Thank you.\n`
      + (offline ? "Save the labels, and send the file back." : "End the reading, or look at them once more."),
      "Look again",
    );
  }

  function pause(on) {
    if (on === state.paused) return;
    state.paused = on;
    $("pause").textContent = on ? "Go on" : "Pause";
    if (on) veil("Paused. The time stands still, and everything so far is kept.", "Go on");
    else if (state.pair) { veil(""); draw(); } else open(state.at);
  }

  function save() {
    keep();
    const file = {
      schema_version: meta.schema, memtk_version: meta.version, draw: meta.draw, reader: meta.reader,
      labels: Object.fromEntries(names.filter(n => labels[n]).map(n => [n, labels[n]])),
    };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1)], { type: "application/json" }));
    link.download = "labels.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    unsaved = false;
    tell("Saved as labels.json.");
  }

  async function end() {
    for (let k = 0; k < 100 && Object.keys(kept.pending).length; k++) {
      await send();
      await new Promise(again => setTimeout(again, 50));
    }
    if (Object.keys(kept.pending).length) return;
    try {
      await fetch("end", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
    } catch (error) { /* it has ended already */ }
    state.pair = null;
    veil("The reading has ended and everything is saved. This tab can be closed.");
  }

  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    if (state.pair && !state.paused && !document.hidden) state.spent += (now - last) / 1000;
    last = now;
    const before = labels[names[state.at]], total = Math.floor(state.spent + (before ? before.seconds : 0));
    $("time").textContent = `${Math.floor(total / 60)}:${String(total % 60).padStart(2, "0")}`;
  }, 250);
  setInterval(() => {
    if (state.mode === "blink" && state.pair) { state.blink = !state.blink; draw(); }
  }, 600);

  const keys = {
    1: () => say("novel"), 2: () => say("copy"), 3: () => say("unsure"),
    ArrowLeft: () => state.at > 0 && open(state.at - 1),
    ArrowRight: () => state.at + 1 < names.length && open(state.at + 1),
    ArrowUp: () => scroll(1), ArrowDown: () => scroll(-1),
    s: () => show("side"), b: () => show("blink"), c: () => show("checker"), d: () => show("difference"),
    m: () => turn("mirror"), v: () => turn("flip"), r: () => turn("90"),
    h: () => channels > 1 && pick(state.channel + 1 < channels ? state.channel + 1 : channels === 3 ? -1 : 0),
    "+": () => zoom(1.25), "-": () => zoom(0.8), 0: resetAll, p: () => pause(!state.paused),
  };
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const labelling = /^[123]$/.test(event.key) || (event.key === "Enter" && event.target.dataset.label);
    if (event.repeat && labelling) { event.preventDefault(); return; }
    const does = keys[event.key] || keys[event.key.toLowerCase()];
    if (!does || (state.paused && event.key.toLowerCase() !== "p")) return;
    event.preventDefault();
    does();
  });
  all("[data-label]").forEach(b => b.addEventListener("click", () => say(b.dataset.label)));
  all("[data-mode]").forEach(b => b.addEventListener("click", () => show(b.dataset.mode)));
  all("[data-turn]").forEach(b => b.addEventListener("click", () => turn(b.dataset.turn)));
  all("[data-zoom]").forEach(b => b.addEventListener("click", () => zoom(+b.dataset.zoom)));
  $("reset").addEventListener("click", resetAll);
  $("back").addEventListener("click", keys.ArrowLeft);
  $("pause").addEventListener("click", () => pause(!state.paused));
  $("go").addEventListener("click", () => (state.paused ? pause(false) : open(state.at % names.length)));
  $("save").addEventListener("click", save);
  $("end").addEventListener("click", end);
  window.addEventListener("resize", draw);
  window.addEventListener("storage", event => {  // what another tab has read is not asked here again
    if (event.key !== store) return;
    const name = names[state.at], unread = name && !labels[name];
    takeOver(stored().labels || {});
    send();
    if (unread && labels[name]) onward(); else progress();
  });
  window.addEventListener("beforeunload", event => {
    if (Object.keys(kept.pending).length || (offline && !canKeep && unsaved)) event.preventDefault();
  });

  choose(0);
  pick(state.channel);
  const first = names.findIndex(name => !labels[name]);
  if (!names.length) veil("There is nothing to read.");
  else if (first < 0) finish();
  else open(first);
  for (const name of Object.keys(kept.pending)) if (!names.includes(name)) delete kept.pending[name];
  send();
})();
