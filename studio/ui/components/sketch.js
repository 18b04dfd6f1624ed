// Sketch canvas: freehand, lines, rectangles, walls in perspective and an eraser, on white paper. What is drawn goes to
// Python as polylines in units of the paper's width (x 0..1, y 0..data.ratio) and is drawn there again as the picture.
const MAX_POINTS = 7000; // per drawing; Python refuses more
const SNAP_DEGREES = 7, STRAIGHT = 0.035, MAGNET = 11; // assist: angle, bow of a stroke by its length, pixels to a corner
const QUIET = 600; // milliseconds without a stroke before Python is told; every message costs a run of the page

export default function (component) {
  const { data, parentElement: root, setStateValue } = component;
  const find = (selector) => root.querySelector(selector);
  const stage = find(".stage"), view = find("canvas"), pen = find("input[type=range]"), hint = find(".hint");
  const undo = find(".undo"), redo = find(".redo"), clear = find(".clear"), assist = find(".assist"), guided = find(".guided");
  const tools = [...root.querySelectorAll("[role=radio]")];
  const cursor = find(".cursor"), said = find(".said");
  const handles = { left: find(".vp.left"), right: find(".vp.right"), horizon: find(".vp.horizon") };
  const fresh = !root.__sketch || root.__sketch.epoch !== data.epoch;
  const state = fresh
    ? (root.__sketch = { epoch: data.epoch, shapes: data.shapes, guides: { ...data.guides }, past: [], future: [], live: null,
                         tool: root.__sketch?.tool ?? "line", layer: document.createElement("canvas"), at: [0.5, data.ratio / 2],
                         assist: root.__sketch?.assist ?? true, timer: 0, frame: 0 })
    : root.__sketch;
  stage.style.setProperty("--ratio", 1 / data.ratio);

  // -- geometry, in units of the paper's width

  const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
  const length = (v) => Math.hypot(v[0], v[1]);
  const round = (v) => Math.round(v * 1e4) / 1e4;
  const inside = ([x, y]) => [Math.min(1, Math.max(0, x)), Math.min(data.ratio, Math.max(0, y))].map(round);
  const vanishing = () => [[state.guides.left, state.guides.horizon], [state.guides.right, state.guides.horizon]];

  function corner(at) {
    let best = null, near = MAGNET / (view.clientWidth || 1);
    for (const shape of state.shapes) {
      if (shape.mode !== "ink") continue;
      const ends = shape.points.length > 6 ? [shape.points[0], shape.points.at(-1)] : shape.points;
      for (const end of ends) {
        const far = length(minus(at, end));
        if (far < near) [best, near] = [end, far];
      }
    }
    return best;
  }

  function snapped(from, to) {
    state.helper = null;
    if (!state.assist) return to;
    const met = corner(to);
    if (met && length(minus(met, from)) > 1e-6) return met;
    const way = minus(to, from);
    const lines = state.guides.shown ? vanishing().map((point) => minus(point, from)) : [[1, 0]];
    let best = Math.sin((SNAP_DEGREES * Math.PI) / 180) * length(way), result = to;
    for (const line of [[0, 1], ...lines]) {
      const size = length(line);
      if (size < 1e-6) continue;
      const [dx, dy] = [line[0] / size, line[1] / size];
      const off = Math.abs(way[0] * dy - way[1] * dx);
      if (off >= best) continue;
      const along = way[0] * dx + way[1] * dy;
      best = off;
      result = [from[0] + along * dx, from[1] + along * dy];
      state.helper = [from, [dx, dy]];
    }
    return inside(result);
  }

  // A wall seen in perspective: upright sides, top and bottom run to the vanishing point the wall leads to.
  function wall(a, b) {
    const [target] = vanishing().slice(b[0] >= a[0] ? 1 : 0);
    const reach = target[0] - a[0];
    const x = (target[0] - b[0]) * reach > 0 ? b[0] : a[0] + 0.9 * reach; // never up to the vanishing point or past it
    const share = (x - a[0]) / reach;
    const toward = (y) => y + (target[1] - y) * share;
    const away = (y) => (y - target[1] * share) / (1 - share);
    return [a, [x, toward(a[1])], [x, b[1]], [a[0], away(b[1])], a].map(inside);
  }

  function shapeOf(tool, from, to) {
    if (tool === "rectangle") return [from, [to[0], from[1]], to, [from[0], to[1]], from].map(inside);
    if (tool === "wall") return wall(from, to);
    return [from, snapped(from, to)];
  }

  function straightened(points) {
    const [first, last] = [points[0], points.at(-1)];
    const way = minus(last, first), size = length(way);
    if (!state.assist || points.length < 3 || size < 0.05) return points;
    const bow = Math.max(...points.map((p) => Math.abs((p[0] - first[0]) * way[1] - (p[1] - first[1]) * way[0]) / size));
    const path = points.slice(1).reduce((sum, p, i) => sum + length(minus(p, points[i])), 0);
    return bow < STRAIGHT * size && path < 1.15 * size ? [first, snapped(first, last)] : points;
  }

  // -- drawing

  function trace(context, shape) {
    context.globalCompositeOperation = shape.mode === "ink" ? "source-over" : "destination-out";
    context.lineWidth = shape.width;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = "#141414";
    context.beginPath();
    shape.points.forEach(([x, y], index) => context[index ? "lineTo" : "moveTo"](x, y));
    if (shape.points.length === 1) context.lineTo(shape.points[0][0] + 1e-4, shape.points[0][1]);
    context.stroke();
  }

  function drawGuides(context, pixel) {
    context.lineWidth = pixel;
    context.strokeStyle = "rgba(58, 138, 114, .30)";
    context.beginPath();
    for (const [x, y] of vanishing())
      for (let angle = -80; angle <= 80; angle += 8) {
        const side = x < 0.5 ? 1 : -1, turn = (angle * Math.PI) / 180;
        context.moveTo(x, y);
        context.lineTo(x + side * 6 * Math.cos(turn), y + 6 * Math.sin(turn));
      }
    context.stroke();
    context.strokeStyle = "rgba(58, 138, 114, .85)";
    context.beginPath();
    context.moveTo(0, state.guides.horizon);
    context.lineTo(1, state.guides.horizon);
    context.stroke();
  }

  function draw() {
    cancelAnimationFrame(state.frame);
    state.frame = requestAnimationFrame(paint);
  }

  function paint() {
    const dense = window.devicePixelRatio || 1;
    const wide = Math.max(1, Math.round(view.clientWidth * dense)), tall = Math.max(1, Math.round(wide * data.ratio));
    for (const canvas of [view, state.layer])
      if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall];
    const ink = state.layer.getContext("2d"), shown = view.getContext("2d");
    ink.setTransform(wide, 0, 0, wide, 0, 0);
    shown.setTransform(wide, 0, 0, wide, 0, 0);
    ink.clearRect(0, 0, 1, 1);
    for (const shape of state.shapes) trace(ink, shape);
    if (state.live) trace(ink, state.live);
    shown.fillStyle = "#fff";
    shown.fillRect(0, 0, 1, 1);
    if (state.guides.shown) drawGuides(shown, dense / wide);
    if (state.live && state.helper) {
      const [[x, y], [dx, dy]] = state.helper;
      shown.strokeStyle = "rgba(224, 86, 56, .7)";
      shown.lineWidth = dense / wide;
      shown.beginPath();
      shown.moveTo(x - 2 * dx, y - 2 * dy);
      shown.lineTo(x + 2 * dx, y + 2 * dy);
      shown.stroke();
    }
    shown.setTransform(1, 0, 0, 1, 0, 0);
    shown.drawImage(state.layer, 0, 0);
    place();
  }

  function place() {
    undo.disabled = !state.past.length && !state.shapes.length;
    redo.disabled = !state.future.length;
    clear.disabled = !state.shapes.length;
    hint.hidden = state.shapes.length > 0 || state.live !== null;
    assist.setAttribute("aria-pressed", String(state.assist));
    guided.setAttribute("aria-pressed", String(state.guides.shown));
    stage.dataset.guides = state.guides.shown ? "on" : "off";
    cursor.style.left = 100 * state.at[0] + "%";
    cursor.style.top = (100 * state.at[1]) / data.ratio + "%";
    cursor.style.width = 100 * Math.max(width(), 0.012) + "%";
    for (const [name, handle] of Object.entries(handles)) {
      const x = name === "horizon" ? 0.5 : state.guides[name];
      handle.style.left = 100 * Math.min(0.975, Math.max(0.025, x)) + "%";
      handle.style.top = (100 * state.guides.horizon) / data.ratio + "%";
      handle.dataset.off = x < 0 ? "left" : x > 1 ? "right" : "";
      const value = name === "horizon" ? state.guides.horizon / data.ratio : x;
      handle.setAttribute("aria-valuenow", String(Math.round(100 * value)));
    }
  }

  // -- changes

  function tell() {
    clearTimeout(state.timer);
    if (!state.untold) return;
    state.untold = false;
    setStateValue("drawing", { epoch: state.epoch, shapes: state.shapes, guides: state.guides });
  }

  function changed() {
    state.untold = true;
    clearTimeout(state.timer);
    state.timer = setTimeout(() => root.__tell(), QUIET);
    said.textContent = state.shapes.length === 1 ? "1 stroke" : state.shapes.length + " strokes";
    draw();
  }
  root.__tell = tell;

  function commit(shapes) {
    state.past = [...state.past.slice(-200), state.shapes];
    state.future = [];
    state.shapes = shapes;
    changed();
  }

  const width = () => Number(pen.value) / 1000 * (state.tool === "erase" ? 6 : 1);
  const used = () => state.shapes.reduce((sum, shape) => sum + shape.points.length, 0);

  function begin(at) {
    if (used() + 8 > MAX_POINTS) {
      said.textContent = "The paper is full: undo or clear something";
      return;
    }
    const start = (state.assist && state.tool !== "erase" && corner(at)) || at;
    state.from = start;
    state.live = { mode: state.tool === "erase" ? "erase" : "ink", width: round(width()), points: [start] };
    draw();
  }

  function move(at) {
    if (!state.live) return;
    if (state.tool === "free" || state.tool === "erase") {
      if (length(minus(at, state.live.points.at(-1))) < 0.003 || used() + state.live.points.length >= MAX_POINTS) return;
      state.live.points.push(at);
    } else state.live.points = shapeOf(state.tool, state.from, at);
    draw();
  }

  function finish() {
    const live = state.live;
    if (!live) return;
    state.live = null;
    if (state.tool === "free") live.points = straightened(live.points);
    state.helper = null;
    const size = Math.max(...live.points.map((point) => length(minus(point, live.points[0]))));
    if (state.tool === "erase" || state.tool === "free" || size > 0.004) commit([...state.shapes, live]);
    else draw();
  }

  function choose(tool) {
    if (tool !== state.tool) state.live = null; // a run of the page in the middle of a stroke must not end it
    state.tool = tool;
    for (const button of tools) {
      const chosen = button.dataset.tool === tool;
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    if (tool === "wall" && !state.guides.shown) [state.guides.shown, state.untold] = [true, true];
    draw();
  }

  // -- mouse, pen, finger

  const spot = (event) => {
    const box = view.getBoundingClientRect();
    return inside([(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.width]);
  };
  view.onpointerdown = (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    view.focus({ preventScroll: true });
    view.setPointerCapture(event.pointerId);
    begin((state.at = spot(event)));
  };
  view.onpointermove = (event) => {
    if (!event.isPrimary) return;
    for (const one of event.getCoalescedEvents?.() ?? [event]) move((state.at = spot(one)));
    if (!state.live) place();
  };
  view.onpointerup = view.onpointercancel = (event) => event.isPrimary && finish();
  root.querySelector(".frame").onpointerleave = tell;

  for (const [name, handle] of Object.entries(handles)) {
    const shift = (dx, dy) => {
      const reach = { left: [-4, 0.45], right: [0.55, 5] }[name];
      const guides = state.guides;
      guides.horizon = round(Math.min(data.ratio * 1.2, Math.max(-0.2 * data.ratio, guides.horizon + dy)));
      if (reach) guides[name] = round(Math.min(reach[1], Math.max(reach[0], guides[name] + dx)));
      changed();
    };
    handle.onpointerdown = (event) => {
      event.preventDefault();
      handle.focus({ preventScroll: true });
      handle.setPointerCapture(event.pointerId);
      state.held = [event.clientX, event.clientY];
    };
    handle.onpointermove = (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const scale = view.clientWidth;
      // A point beyond the paper moves faster: it is far away and its handle waits at the edge.
      const speed = name !== "horizon" && (state.guides[name] < 0 || state.guides[name] > 1) ? 3 : 1;
      shift((speed * (event.clientX - state.held[0])) / scale, (event.clientY - state.held[1]) / scale);
      state.held = [event.clientX, event.clientY];
    };
    handle.onkeydown = (event) => {
      const step = event.shiftKey ? 0.1 : 0.02;
      const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      shift(...by);
    };
  }

  // -- keyboard and buttons

  view.onkeydown = (event) => {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key !== "z" && key !== "y") return;
      (key === "y" || event.shiftKey ? redo : undo).click();
    } else if (event.key.startsWith("Arrow")) {
      const step = event.shiftKey ? 0.05 : 0.01;
      const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
      state.at = inside([state.at[0] + by[0], state.at[1] + by[1]]);
      move(state.at);
      place();
    } else if (event.key === " " || event.key === "Enter") state.live ? finish() : begin(state.at);
    else if (event.key === "Escape" && state.live) {
      state.live = state.helper = null;
      draw();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  undo.onclick = () => {
    if (undo.disabled) return;
    state.future = [...state.future, state.shapes];
    state.shapes = state.past.length ? state.past.at(-1) : state.shapes.slice(0, -1);
    state.past = state.past.slice(0, -1);
    changed();
  };
  redo.onclick = () => {
    if (redo.disabled) return;
    state.past = [...state.past, state.shapes];
    state.shapes = state.future.at(-1);
    state.future = state.future.slice(0, -1);
    changed();
  };
  clear.onclick = () => commit([]);
  assist.onclick = () => {
    state.assist = !state.assist;
    draw();
  };
  guided.onclick = () => {
    state.guides.shown = !state.guides.shown;
    changed();
  };
  pen.oninput = place;
  radios(tools, choose);
  state.sizes?.disconnect();
  state.sizes = new ResizeObserver(draw);
  state.sizes.observe(view);
  choose(state.tool);
  return () => {
    state.sizes.disconnect();
    cancelAnimationFrame(state.frame);
  };
}
