// Mesh viewer: a solid on the printer's bed, drawn with plain WebGL 2. It arrives as one block of bytes: a JSON head, then
// counts, corners (float32 mm, z up), thickness per corner (float32 mm) and triangles (uint32).
const MESH_VERTEX = `#version 300 es
in vec3 at; in float thick; uniform mat4 view; out vec3 spot; out float deep;
void main() { spot = at; deep = thick; gl_Position = view * vec4(at, 1.0); }`;
const MESH_PIXEL = `#version 300 es
precision highp float;
in vec3 spot; in float deep; uniform vec3 eye; uniform float cut; uniform float wall; uniform bool heat; out vec4 color;
vec3 ramp(float t) {
  vec3 low = vec3(.70, .15, .12), thin = vec3(.95, .69, .20), good = vec3(.50, .78, .66), much = vec3(.18, .44, .56);
  if (t < 1.0) return low;
  return t < 2.0 ? mix(thin, good, t - 1.0) : mix(good, much, clamp((t - 2.0) / 2.0, 0.0, 1.0));
}
void main() {
  if (spot.z > cut) discard;
  if (!gl_FrontFacing && cut < 1e8) { color = vec4(.88, .42, .30, 1.0); return; }
  vec3 normal = normalize(cross(dFdx(spot), dFdy(spot))), look = normalize(eye - spot);
  if (dot(normal, look) < 0.0) normal = -normal;
  vec3 side = normalize(cross(vec3(0.0, 0.0, 1.0), look) + vec3(1e-5));
  float key = max(0.0, dot(normal, normalize(look + 0.7 * side + vec3(0.0, 0.0, 0.9))));
  float light = 0.50 + 0.13 * normal.z + 0.42 * key;
  color = vec4((heat ? ramp(deep / wall) : vec3(.88, .85, .78)) * light, 1.0);
}`;
const LINE_VERTEX = `#version 300 es
in vec3 at; uniform mat4 view; out float high; void main() { high = at.z; gl_Position = view * vec4(at, 1.0); }`;
const LINE_PIXEL = `#version 300 es
precision mediump float;
in float high; uniform vec4 paint; uniform float cut; out vec4 color;
void main() { if (high > cut) discard; color = vec4(paint.rgb * paint.a, paint.a); }`;
const VIEWS = { iso: [-35, 28], front: [-90, 0], side: [0, 0], top: [-90, 90] }; // azimuth from +x, elevation, in degrees
const FIELD = Math.tan((17 * Math.PI) / 180); // half of a field of view of 34 degrees
const CREASE = Math.cos((22 * Math.PI) / 180);

export default function (component) {
  const { data, parentElement: root } = component;
  const find = (selector) => root.querySelector(selector);
  const stage = find(".stage"), canvas = find("canvas"), slider = find(".section input");
  const bytes = new Uint8Array(data).slice().buffer;
  const size = new DataView(bytes).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, size)));
  const body = 4 + size;
  find(".note").textContent = head.note;
  find(".least").textContent = `below ${head.wall} mm: too thin`;
  find(".most").textContent = `${4 * head.wall} mm and more`;
  find(".nogl img").src = head.fallback;
  find(".nogl img").hidden = !head.fallback;

  const gl = root.__solid?.gl ?? canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
  stage.dataset.gl = gl && !gl.isContextLost() ? "yes" : "no";
  if (stage.dataset.gl === "no") return;
  canvas.addEventListener("webglcontextlost", () => (stage.dataset.gl = "no"), { once: true });
  const state = (root.__solid ??= { gl, turn: [...VIEWS.iso], heat: false, edges: true, held: new Map() });

  // -- the model

  function program(vertex, pixel) {
    const made = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, pixel]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    }
    gl.bindAttribLocation(made, 0, "at");
    gl.bindAttribLocation(made, 1, "thick");
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made) ?? "no shader");
    const uniform = (name) => gl.getUniformLocation(made, name);
    return { made, uniform: Object.fromEntries(["view", "eye", "cut", "wall", "heat", "paint"].map((n) => [n, uniform(n)])) };
  }

  function buffer(kind, values) {
    const made = gl.createBuffer();
    gl.bindBuffer(kind, made);
    gl.bufferData(kind, values, gl.STATIC_DRAW);
    return made;
  }

  // Edges where two triangles meet at an angle, and open ones.
  function creases(points, faces) {
    const normals = new Float32Array(faces.length), seen = new Map(), lines = [], count = points.length / 3;
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [0, 1, 2].map((k) => 3 * faces[f + k]);
      const u = [0, 1, 2].map((k) => points[b + k] - points[a + k]), v = [0, 1, 2].map((k) => points[c + k] - points[a + k]);
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      const long = Math.hypot(...n) || 1;
      for (let k = 0; k < 3; k++) normals[f + k] = n[k] / long;
      for (let k = 0; k < 3; k++) {
        const one = faces[f + k], two = faces[f + ((k + 1) % 3)];
        const key = Math.min(one, two) * count + Math.max(one, two), other = seen.get(key);
        if (other === undefined) seen.set(key, f);
        else {
          seen.delete(key);
          const same = [0, 1, 2].reduce((sum, k) => sum + normals[f + k] * normals[other + k], 0);
          if (same < CREASE) lines.push(one, two);
        }
      }
    }
    for (const key of seen.keys()) lines.push(Math.floor(key / count), key % count);
    return new Uint32Array(lines);
  }

  if (state.id !== head.id) {
    const [corners, triangles] = new Uint32Array(bytes.slice(body, body + 8));
    const from = (start, count, kind) => new kind(bytes.slice(start, start + 4 * count));
    const points = from(body + 8, 3 * corners, Float32Array);
    const depth = from(body + 8 + 12 * corners, corners, Float32Array);
    const faces = from(body + 8 + 16 * corners, 3 * triangles, Uint32Array);
    const low = [1e9, 1e9, 1e9], high = [-1e9, -1e9, -1e9];
    points.forEach((v, i) => {
      low[i % 3] = Math.min(low[i % 3], v);
      high[i % 3] = Math.max(high[i % 3], v);
    });
    const edges = creases(points, faces);
    state.mesh ??= program(MESH_VERTEX, MESH_PIXEL);
    state.line ??= program(LINE_VERTEX, LINE_PIXEL);
    for (const old of state.buffers ?? []) gl.deleteBuffer(old);
    state.points = buffer(gl.ARRAY_BUFFER, points);
    state.depth = buffer(gl.ARRAY_BUFFER, depth);
    state.faces = buffer(gl.ELEMENT_ARRAY_BUFFER, faces);
    state.creases = buffer(gl.ELEMENT_ARRAY_BUFFER, edges);
    [state.fine, state.coarse] = grid(head.bed);
    state.buffers = [state.points, state.depth, state.faces, state.creases, state.fine.made, state.coarse.made];
    Object.assign(state, { id: head.id, low, high, counts: [faces.length, edges.length] });
    slider.value = "100";
    fit();
  }

  function grid([wide, deep]) {
    const kinds = [[], []];
    const x0 = -wide / 2, y0 = -deep / 2;
    const add = (to, ...line) => to.push(...line);
    for (let i = 0; i * 10 <= wide + 1e-6; i++) add(kinds[i % 5 ? 0 : 1], x0 + 10 * i, y0, 0, x0 + 10 * i, -y0, 0);
    for (let i = 0; i * 10 <= deep + 1e-6; i++) add(kinds[i % 5 ? 0 : 1], x0, y0 + 10 * i, 0, -x0, y0 + 10 * i, 0);
    add(kinds[1], -x0, y0, 0, -x0, -y0, 0, x0, -y0, 0, -x0, -y0, 0);
    return kinds.map((lines) => ({ made: buffer(gl.ARRAY_BUFFER, new Float32Array(lines)), count: lines.length / 3 }));
  }

  // -- the camera

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
    const near = Math.max(state.far - 3 * reach(), state.far / 200), far = state.far + 3 * reach();
    const aspect = canvas.width / canvas.height, f = 1 / FIELD;
    const rows = [right, up, back].map((axis) => [...axis, -dot(axis, eye)]);
    const [a, b] = [(far + near) / (near - far), (2 * far * near) / (near - far)];
    const out = [rows[0].map((v) => (v * f) / aspect), rows[1].map((v) => v * f), rows[2].map((v, k) => v * a + (k === 3 ? b : 0)),
                 rows[2].map((v) => -v)];
    return new Float32Array([0, 1, 2, 3].flatMap((k) => out.map((row) => row[k])));
  }
  const reach = () => Math.max(state.radius, Math.hypot(...head.bed) / 2) + Math.hypot(...state.target);

  // -- drawing

  function draw() {
    cancelAnimationFrame(state.wanted);
    state.wanted = requestAnimationFrame(paint);
  }

  function paint() {
    const dense = window.devicePixelRatio || 1;
    const [wide, tall] = [canvas.clientWidth, canvas.clientHeight].map((v) => Math.max(1, Math.round(v * dense)));
    if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall];
    const camera = frame(), view = matrix(camera);
    const part = Number(slider.value) / 100;
    const cut = part >= 1 ? 1e9 : state.low[2] + part * (state.high[2] - state.low[2]);
    const dark = getComputedStyle(stage).colorScheme.includes("dark") || light(getComputedStyle(stage).color) > 0.5;
    gl.viewport(0, 0, wide, tall);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.enable(gl.POLYGON_OFFSET_FILL);
    gl.polygonOffset(1, 1);
    use(state.mesh, view, cut);
    gl.uniform3fv(state.mesh.uniform.eye, camera.eye);
    gl.uniform1f(state.mesh.uniform.wall, head.wall);
    gl.uniform1i(state.mesh.uniform.heat, state.heat ? 1 : 0);
    attribute(0, state.points, 3);
    attribute(1, state.depth, 1);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, state.faces);
    gl.drawElements(gl.TRIANGLES, state.counts[0], gl.UNSIGNED_INT, 0);
    gl.disableVertexAttribArray(1);
    use(state.line, view, cut);
    if (state.edges) {
      gl.uniform4f(state.line.uniform.paint, 0.1, 0.13, 0.12, 0.75);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, state.creases);
      gl.drawElements(gl.LINES, state.counts[1], gl.UNSIGNED_INT, 0);
    }
    const tone = dark ? [0.85, 0.9, 0.88] : [0.2, 0.3, 0.27];
    gl.uniform1f(state.line.uniform.cut, 1e9);
    for (const [lines, alpha] of [[state.fine, 0.16], [state.coarse, 0.42]]) {
      gl.uniform4f(state.line.uniform.paint, ...tone, alpha);
      attribute(0, lines.made, 3);
      gl.drawArrays(gl.LINES, 0, lines.count);
    }
    label(view);
    stage.dataset.drawn = String(state.counts[0] / 3);
    find(".section output").textContent = part >= 1 ? "off" : `${(cut - state.low[2]).toFixed(0)} mm`;
    find(".legend").hidden = !state.heat;
    for (const [name, on] of [["heat", state.heat], ["edges", state.edges]])
      find("." + name).setAttribute("aria-pressed", String(on));
    for (const button of root.querySelectorAll("[data-view]")) {
      const near = VIEWS[button.dataset.view].every((v, k) => Math.abs(v - state.turn[k]) < 0.5);
      button.setAttribute("aria-pressed", String(near));
    }
  }

  const light = (color) => (color.match(/[\d.]+/g) ?? [0]).slice(0, 3).reduce((sum, v) => sum + Number(v) / 765, 0);

  function use(shader, view, cut) {
    gl.useProgram(shader.made);
    gl.uniformMatrix4fv(shader.uniform.view, false, view);
    gl.uniform1f(shader.uniform.cut, cut);
  }

  function attribute(place, made, width) {
    gl.bindBuffer(gl.ARRAY_BUFFER, made);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, width, gl.FLOAT, false, 0, 0);
  }

  // Sizes stand beside the edges of the bounding box that face the camera.
  function label(view) {
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    const seen = ([x, y, z]) => {
      const [a, b, , d] = [0, 1, 2, 3].map((k) => view[k] * x + view[4 + k] * y + view[8 + k] * z + view[12 + k]);
      return d > 0 ? [((a / d + 1) * w) / 2, ((1 - b / d) * h) / 2] : null;
    };
    const { back } = frame();
    const [low, high, off] = [state.low, state.high, 0.09 * state.radius];
    const middle = (k) => (low[k] + high[k]) / 2;
    const front = (k) => (back[k] >= 0 ? high[k] + off : low[k] - off);
    const corners = [[low[0] - off, low[1] - off], [high[0] + off, low[1] - off], [high[0] + off, high[1] + off], [low[0] - off, high[1] + off]];
    const left = corners.map((c) => [...c, middle(2)]).reduce((best, c) => ((seen(c)?.[0] ?? 1e9) < (seen(best)?.[0] ?? 1e9) ? c : best));
    const places = { x: [middle(0), front(1), low[2]], y: [front(0), middle(1), low[2]], z: left };
    const hide = { x: Math.abs(back[0]) > 0.98, y: Math.abs(back[1]) > 0.98, z: back[2] > 0.98 };
    for (const [k, name] of ["x", "y", "z"].entries()) {
      const tag = find(".size." + name), at = seen(places[name]);
      tag.hidden = hide[name] || !at;
      if (!at) continue;
      const mm = high[k] - low[k];
      tag.textContent = `${mm >= 100 ? mm.toFixed(0) : mm.toFixed(1)} mm`;
      tag.style.left = Math.min(w - 34, Math.max(34, at[0])) + "px";
      tag.style.top = Math.min(h - 14, Math.max(14, at[1])) + "px";
    }
  }

  // -- hands on it

  const orbit = (dx, dy) => {
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
    else orbit(0.5 * (now[0] - was[0]), 0.5 * (now[1] - was[1]));
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
    else if (step) orbit(-8 * step[0], -8 * step[1]);
    else if (event.key === "+" || event.key === "=") zoom(0.85);
    else if (event.key === "-") zoom(1 / 0.85);
    else if (event.key === "Home") fit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  for (const button of root.querySelectorAll("[data-view]"))
    button.onclick = () => {
      state.turn = [...VIEWS[button.dataset.view]];
      fit();
    };
  find(".fit").onclick = fit;
  find(".heat").onclick = () => {
    state.heat = !state.heat;
    draw();
  };
  find(".edges").onclick = () => {
    state.edges = !state.edges;
    draw();
  };
  slider.oninput = draw;
  state.sizes?.disconnect();
  state.sizes = new ResizeObserver(draw);
  state.sizes.observe(canvas);
  draw();
  return () => {
    state.sizes.disconnect();
    cancelAnimationFrame(state.wanted);
  };
}
