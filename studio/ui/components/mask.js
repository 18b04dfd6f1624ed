// Mask brush over a photo: add and erase with mouse, pen, finger or keyboard. Strokes go to Python as numbers in photo
// coordinates (0..1 of the width and height) and are drawn there again; pixels never travel back.
const MAX_POINTS = 4000; // per editing session; Python refuses more

export default function (component) {
  const { data, parentElement: root, setStateValue } = component;
  const stage = root.querySelector(".stage");
  const view = root.querySelector("canvas");
  const photo = root.querySelector("img");
  const size = root.querySelector("input[type=range]");
  const undo = root.querySelector(".undo");
  const reset = root.querySelector(".reset");
  const tools = [...root.querySelectorAll("[role=radio]")];
  const cursor = root.querySelector(".cursor");
  const fresh = !root.__mask || root.__mask.base !== data.base || root.__mask.epoch !== data.epoch;
  const state = fresh
    ? (root.__mask = { base: data.base, epoch: data.epoch, strokes: data.strokes, tool: root.__mask?.tool ?? "look",
                       layer: document.createElement("canvas"), auto: new Image(), guard: new Image(), at: [0.5, 0.5] })
    : root.__mask;

  stage.style.setProperty("--ratio", data.width / data.height);
  if (photo.getAttribute("src") !== data.photo) photo.src = data.photo;
  if (fresh) {
    for (const canvas of [view, state.layer]) {
      canvas.width = data.width;
      canvas.height = data.height;
    }
    state.auto.onload = state.guard.onload = draw;
    state.auto.src = data.mask;
    state.guard.src = data.protected;
  }

  const radius = () => (Number(size.value) / 100) * 0.5 * data.width;

  function trace(pen, stroke) {
    pen.globalCompositeOperation = stroke.mode === "add" ? "source-over" : "destination-out";
    pen.lineWidth = stroke.size * data.width;
    pen.lineCap = pen.lineJoin = "round";
    pen.strokeStyle = "#fff";
    pen.beginPath();
    stroke.points.forEach(([x, y], index) => {
      pen[index ? "lineTo" : "moveTo"](x * data.width, y * data.height);
    });
    if (stroke.points.length === 1) pen.lineTo(stroke.points[0][0] * data.width + 0.01, stroke.points[0][1] * data.height);
    pen.stroke();
  }

  function draw() {
    const pen = state.layer.getContext("2d");
    pen.globalCompositeOperation = "source-over";
    pen.clearRect(0, 0, data.width, data.height);
    if (state.auto.complete && state.auto.naturalWidth) pen.drawImage(state.auto, 0, 0, data.width, data.height);
    for (const stroke of state.strokes) trace(pen, stroke);
    if (state.live) trace(pen, state.live);
    pen.globalCompositeOperation = "source-in";
    pen.fillStyle = data.color;
    pen.fillRect(0, 0, data.width, data.height);
    const shown = view.getContext("2d");
    shown.clearRect(0, 0, data.width, data.height);
    shown.globalAlpha = 0.55;
    shown.drawImage(state.layer, 0, 0);
    if (state.guard.complete && state.guard.naturalWidth) shown.drawImage(state.guard, 0, 0, data.width, data.height);
    undo.disabled = reset.disabled = state.strokes.length === 0;
  }

  function commit() {
    setStateValue("edits", { base: state.base, epoch: state.epoch, strokes: state.strokes });
    draw();
  }

  function choose(tool) {
    state.tool = tool;
    stage.dataset.tool = tool;
    for (const button of tools) {
      const chosen = button.dataset.tool === tool;
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    place();
  }

  function place() {
    const [x, y] = state.at;
    cursor.style.left = 100 * x + "%";
    cursor.style.top = 100 * y + "%";
    cursor.style.width = size.value + "%";
  }

  const spot = (event) => {
    const box = view.getBoundingClientRect();
    const clip = (v) => Math.min(1, Math.max(0, v));
    return [clip((event.clientX - box.left) / box.width), clip((event.clientY - box.top) / box.height)].map(
      (v) => Math.round(v * 1e4) / 1e4
    );
  };
  const used = () => state.strokes.reduce((sum, stroke) => sum + stroke.points.length, 0);
  const begin = (at) => {
    state.live = { mode: state.tool, size: (2 * radius()) / data.width, points: [at] };
    draw();
  };
  const finish = () => {
    if (!state.live) return;
    state.strokes = [...state.strokes, state.live];
    state.live = null;
    commit();
  };

  view.onpointerdown = (event) => {
    if (state.tool === "look" || event.button !== 0 || used() >= MAX_POINTS) return;
    event.preventDefault();
    view.focus({ preventScroll: true });
    view.setPointerCapture(event.pointerId);
    begin((state.at = spot(event)));
  };
  view.onpointermove = (event) => {
    state.at = spot(event);
    place();
    if (!state.live) return;
    const [x, y] = state.live.points.at(-1);
    const far = Math.hypot((state.at[0] - x) * data.width, (state.at[1] - y) * data.height) > Math.max(2, radius() / 6);
    if (far && used() + state.live.points.length < MAX_POINTS) {
      state.live.points.push(state.at);
      draw();
    }
  };
  view.onpointerup = finish;
  view.onpointercancel = finish;
  view.onkeydown = (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      undo.click();
      return;
    }
    if (state.tool === "look") return;
    const step = event.shiftKey ? 0.05 : 0.01;
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (move) {
      state.at = state.at.map((v, i) => Math.round(Math.min(1, Math.max(0, v + move[i])) * 1e4) / 1e4);
      place();
    } else if (event.key === " " || event.key === "Enter") {
      begin(state.at);
      finish();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  undo.onclick = () => {
    state.strokes = state.strokes.slice(0, -1);
    commit();
  };
  reset.onclick = () => {
    state.strokes = [];
    commit();
  };
  size.oninput = place;
  radios(tools, choose);
  choose(state.tool);
  draw();
}
