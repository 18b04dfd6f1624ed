// Cloud viewer: points with their colours, how they came about step by step, and what each picture alone gives. It
// arrives as one block of bytes: a JSON head, then counts (points N, steps S, points of each step M, pictures V), places
// (N x 3 float32, y up), steps (S x M x 3), pictures' clouds (V x M x 3) and colours (N x 3 bytes).
const VERTEX = `#version 300 es
in vec3 at; in vec3 tint; uniform mat4 view; uniform float size; out vec3 paint;
void main() {
  gl_Position = view * vec4(at, 1.0);
  gl_PointSize = clamp(size / gl_Position.w, 1.5, 40.0);
  paint = tint;
}`;
const PIXEL = `#version 300 es
precision mediump float;
in vec3 paint; out vec4 color;
void main() {
  vec2 spot = 2.0 * gl_PointCoord - 1.0;
  float far = dot(spot, spot);
  if (far > 1.0) discard;
  color = vec4(paint * (0.72 + 0.28 * sqrt(1.0 - far)), 1.0);
}`;
const SPIN = 14; // degrees a second
const STEP_SECONDS = 0.16;

export default function (component) {
  const { data, parentElement: root } = component;
  const find = (selector) => root.querySelector(selector);
  const stage = find(".stage"), canvas = find("canvas"), slider = find(".section input"), play = find(".play"), spin = find(".spin");
  const bytes = new Uint8Array(data).slice().buffer;
  const size = new DataView(bytes).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, size)));
  const body = 4 + size;
  find(".nogl img").src = head.fallback;
  find(".nogl img").hidden = !head.fallback;

  const gl = root.__cloud?.gl ?? canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
  stage.dataset.gl = gl && !gl.isContextLost() ? "yes" : "no";
  if (stage.dataset.gl === "no") return;
  canvas.addEventListener("webglcontextlost", () => (stage.dataset.gl = "no"), { once: true });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const state = (root.__cloud ??= { gl, turn: [...VIEWS.iso], held: new Map(), spinning: !calm, shown: "all" });
  const look = orbit(root, canvas, state, draw);

  // -- the clouds

  // y up, front towards +z -> z up, front towards -y, as the camera has it.
  function turned(values) {
    const out = new Float32Array(values.length);
    for (let i = 0; i < values.length; i += 3) [out[i], out[i + 1], out[i + 2]] = [values[i], -values[i + 2], values[i + 1]];
    return out;
  }

  if (state.id !== head.id) {
    const [count, steps, some, views] = new Uint32Array(bytes.slice(body, body + 16));
    let at = body + 16;
    const take = (points) => {
      const values = turned(new Float32Array(bytes.slice(at, at + 12 * points)));
      at += 12 * points;
      return { made: buffer(gl, gl.ARRAY_BUFFER, values), count: points, values };
    };
    for (const old of state.buffers ?? []) gl.deleteBuffer(old);
    state.all = take(count);
    state.steps = Array.from({ length: steps }, () => take(some));
    state.alone = Array.from({ length: views }, () => take(some));
    const tints = new Float32Array(new Uint8Array(bytes, at, 3 * count)).map((v) => v / 255);
    state.tints = buffer(gl, gl.ARRAY_BUFFER, tints);
    state.buffers = [state.tints, ...[state.all, ...state.steps, ...state.alone].map((each) => each.made)];
    state.program ??= shaders(gl, VERTEX, PIXEL, ["at", "tint"], ["view", "size"]);
    const low = [1e9, 1e9, 1e9], high = [-1e9, -1e9, -1e9];
    state.all.values.forEach((v, i) => {
      low[i % 3] = Math.min(low[i % 3], v);
      high[i % 3] = Math.max(high[i % 3], v);
    });
    Object.assign(state, { id: head.id, low, high, shown: "all", playing: false });
    slider.max = String(steps);
    slider.value = slider.max;
    look.fit();
  }
  stage.dataset.points = String(state.all.count);

  // What is on show: the finished cloud, an estimate on the way to it, or the cloud of one picture.
  function chosen() {
    if (state.shown !== "all") return state.alone[Number(state.shown)];
    return Number(slider.value) >= state.steps.length ? state.all : state.steps[Number(slider.value)];
  }

  // -- drawing

  function draw() {
    cancelAnimationFrame(state.wanted);
    state.wanted = requestAnimationFrame(paint);
  }

  function paint(now) {
    const spent = Math.min(0.1, (now - (state.before ?? now)) / 1000);
    state.before = now;
    const turning = state.spinning && !state.touched;
    if (turning) state.turn = [((state.turn[0] + SPIN * spent + 540) % 360) - 180, state.turn[1]];
    if (state.playing) advance(spent);
    const [wide, tall] = resized(canvas);
    const cloud = chosen(), own = cloud === state.all || state.shown === "all";
    gl.viewport(0, 0, wide, tall);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.useProgram(state.program.made);
    gl.uniformMatrix4fv(state.program.uniform.view, false, look.matrix(look.frame()));
    gl.uniform1f(state.program.uniform.size, (0.9 * tall) / (FIELD * Math.sqrt(cloud.count)) / 2);
    attribute(0, cloud.made);
    if (own) attribute(1, state.tints);
    else {
      gl.disableVertexAttribArray(1);
      gl.vertexAttrib3f(1, ...(onDark(stage) ? [0.62, 0.78, 0.71] : [0.23, 0.54, 0.45]));
    }
    gl.drawArrays(gl.POINTS, 0, cloud.count);
    look.mark();
    stage.dataset.drawn = String(cloud.count);
    const last = state.steps.length, at = Number(slider.value);
    find(".section output").textContent = at >= last ? "finished" : `${at + 1} of ${last}`;
    for (const button of root.querySelectorAll("[data-shown]"))
      button.setAttribute("aria-pressed", String(button.dataset.shown === state.shown));
    spin.setAttribute("aria-pressed", String(turning));
    play.setAttribute("aria-pressed", String(state.playing));
    slider.disabled = play.disabled = state.shown !== "all";
    if (turning || state.playing) draw();
    else state.before = undefined;
  }

  function advance(spent) {
    state.clock = (state.clock ?? 0) + spent;
    if (state.clock < STEP_SECONDS) return;
    state.clock = 0;
    slider.value = String(Number(slider.value) + 1);
    state.playing = Number(slider.value) < state.steps.length;
  }

  function attribute(place, made) {
    gl.bindBuffer(gl.ARRAY_BUFFER, made);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
  }

  // -- hands on it

  slider.oninput = () => {
    state.playing = false;
    draw();
  };
  play.onclick = () => {
    state.playing = !state.playing;
    if (state.playing) slider.value = "0";
    draw();
  };
  spin.onclick = () => {
    const turning = state.spinning && !state.touched;
    Object.assign(state, { spinning: !turning, touched: false });
    draw();
  };
  for (const button of root.querySelectorAll("[data-shown]"))
    button.onclick = () => {
      state.shown = button.dataset.shown;
      state.playing = false;
      draw();
    };
  state.sizes?.disconnect();
  state.sizes = new ResizeObserver(draw);
  state.sizes.observe(canvas);
  draw();
  return () => {
    state.sizes.disconnect();
    cancelAnimationFrame(state.wanted);
  };
}
