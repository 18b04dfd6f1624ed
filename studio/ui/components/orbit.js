// What the viewers share: a camera that turns around a thing, moves and zooms, by mouse, fingers and keys; and shaders.
// ``state`` keeps, over redraws: low, high (corners of what is shown), turn (azimuth from +x and elevation in degrees),
// target, radius, far and held (fingers).
const VIEWS = { iso: [-35, 28], front: [-90, 0], side: [0, 0], top: [-90, 90] };
const FIELD = Math.tan((17 * Math.PI) / 180); // half of a field of view of 34 degrees

function orbit(root, canvas, state, draw, reach = () => 0) {
  function fit() {
    state.target = [0, 1, 2].map((k) => (state.low[k] + state.high[k]) / 2);
    state.radius = Math.max(1e-3, Math.hypot(...[0, 1, 2].map((k) => state.high[k] - state.low[k])) / 2);
    const narrow = Math.min(1, (canvas.clientWidth || 1) / (canvas.clientHeight || 1));
    state.far = (1.12 * state.radius) / (FIELD * narrow);
    draw();
  }

  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  function frame() {
    const [azimuth, elevation] = state.turn.map((v) => (v * Math.PI) / 180);
    const [ca, sa, ce, se] = [Math.cos(azimuth), Math.sin(azimuth), Math.cos(elevation), Math.sin(elevation)];
    const back = [ce * ca, ce * sa, se], right = [-sa, ca, 0], up = [-se * ca, -se * sa, ce];
    return { back, right, up, eye: back.map((v, k) => state.target[k] + v * state.far) };
  }

  function matrix({ back, right, up, eye }) {
    const around = Math.max(state.radius, reach()) + Math.hypot(...state.target);
    const near = Math.max(state.far - 3 * around, state.far / 200), far = state.far + 3 * around;
    const aspect = canvas.width / canvas.height, f = 1 / FIELD;
    const rows = [right, up, back].map((axis) => [...axis, -dot(axis, eye)]);
    const [a, b] = [(far + near) / (near - far), (2 * far * near) / (near - far)];
    const out = [rows[0].map((v) => (v * f) / aspect), rows[1].map((v) => v * f), rows[2].map((v, k) => v * a + (k === 3 ? b : 0)),
                 rows[2].map((v) => -v)];
    return new Float32Array([0, 1, 2, 3].flatMap((k) => out.map((row) => row[k])));
  }

  const turn = (dx, dy) => {
    state.turn = [(((state.turn[0] - dx + 540) % 360) - 180), Math.min(90, Math.max(-90, state.turn[1] + dy))];
    draw();
  };
  const zoom = (by) => {
    state.far = Math.min(60 * state.radius, Math.max(0.3 * state.radius, state.far * by));
    draw();
  };
  const pan = (dx, dy) => {
    const { right, up } = frame(), scale = (2 * FIELD * state.far) / (canvas.clientHeight || 1);
    state.target = state.target.map((v, k) => v - scale * (dx * right[k] - dy * up[k]));
    draw();
  };
  const spread = () => {
    const [a, b] = [...state.held.values()];
    return [Math.hypot(a[0] - b[0], a[1] - b[1]), (a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  };
  canvas.onpointerdown = (event) => {
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    state.held.set(event.pointerId, [event.clientX, event.clientY]);
    state.touched = true;
  };
  canvas.onpointermove = (event) => {
    const was = state.held.get(event.pointerId);
    if (!was) return;
    const now = [event.clientX, event.clientY], before = state.held.size === 2 ? spread() : null;
    state.held.set(event.pointerId, now);
    if (before) {
      const after = spread();
      if (after[0] > 0) zoom(before[0] / after[0]);
      pan(after[1] - before[1], after[2] - before[2]);
    } else if (event.buttons & 6 || event.shiftKey) pan(now[0] - was[0], now[1] - was[1]);
    else turn(0.5 * (now[0] - was[0]), 0.5 * (now[1] - was[1]));
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => state.held.delete(event.pointerId);
  canvas.oncontextmenu = (event) => event.preventDefault();
  canvas.onwheel = (event) => {
    event.preventDefault();
    zoom(Math.exp(Math.max(-0.5, Math.min(0.5, event.deltaY * 0.0015))));
  };
  canvas.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step && event.shiftKey) pan(20 * step[0], 20 * step[1]);
    else if (step) turn(-8 * step[0], -8 * step[1]);
    else if (event.key === "+" || event.key === "=") zoom(0.85);
    else if (event.key === "-") zoom(1 / 0.85);
    else if (event.key === "Home") fit();
    else return;
    state.touched = true;
    event.preventDefault();
    event.stopPropagation();
  };
  for (const button of root.querySelectorAll("[data-view]"))
    button.onclick = () => {
      state.touched = true;
      state.turn = [...VIEWS[button.dataset.view]];
      fit();
    };
  root.querySelector(".fit").onclick = fit;

  function mark() {
    for (const button of root.querySelectorAll("[data-view]")) {
      const near = VIEWS[button.dataset.view].every((v, k) => Math.abs(v - state.turn[k]) < 0.5);
      button.setAttribute("aria-pressed", String(near));
    }
  }
  return { fit, frame, matrix, turn, mark };
}

// A linked program, its attributes at their places in ``attributes``, and where its uniforms are.
function shaders(gl, vertex, pixel, attributes, uniforms) {
  const made = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, pixel]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  attributes.forEach((name, place) => gl.bindAttribLocation(made, place, name));
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made) ?? "no shader");
  return { made, uniform: Object.fromEntries(uniforms.map((name) => [name, gl.getUniformLocation(made, name)])) };
}

function buffer(gl, kind, values) {
  const made = gl.createBuffer();
  gl.bindBuffer(kind, made);
  gl.bufferData(kind, values, gl.STATIC_DRAW);
  return made;
}

function resized(canvas) {
  const dense = window.devicePixelRatio || 1;
  const [wide, tall] = [canvas.clientWidth, canvas.clientHeight].map((v) => Math.max(1, Math.round(v * dense)));
  if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall];
  return [wide, tall];
}

const light = (color) => (color.match(/[\d.]+/g) ?? [0]).slice(0, 3).reduce((sum, v) => sum + Number(v) / 765, 0);
const onDark = (stage) => getComputedStyle(stage).colorScheme.includes("dark") || light(getComputedStyle(stage).color) > 0.5;

