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

  const look = orbit(root, canvas, state, draw, () => Math.hypot(...head.bed) / 2);

  // -- the model

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
    state.mesh ??= shaders(gl, MESH_VERTEX, MESH_PIXEL, ["at", "thick"], ["view", "eye", "cut", "wall", "heat"]);
    state.line ??= shaders(gl, LINE_VERTEX, LINE_PIXEL, ["at"], ["view", "cut", "paint"]);
    for (const old of state.buffers ?? []) gl.deleteBuffer(old);
    state.points = buffer(gl, gl.ARRAY_BUFFER, points);
    state.depth = buffer(gl, gl.ARRAY_BUFFER, depth);
    state.faces = buffer(gl, gl.ELEMENT_ARRAY_BUFFER, faces);
    state.creases = buffer(gl, gl.ELEMENT_ARRAY_BUFFER, edges);
    [state.fine, state.coarse] = grid(head.bed);
    state.buffers = [state.points, state.depth, state.faces, state.creases, state.fine.made, state.coarse.made];
    Object.assign(state, { id: head.id, low, high, counts: [faces.length, edges.length] });
    slider.value = "100";
    look.fit();
  }

  function grid([wide, deep]) {
    const kinds = [[], []];
    const x0 = -wide / 2, y0 = -deep / 2;
    const add = (to, ...line) => to.push(...line);
    for (let i = 0; i * 10 <= wide + 1e-6; i++) add(kinds[i % 5 ? 0 : 1], x0 + 10 * i, y0, 0, x0 + 10 * i, -y0, 0);
    for (let i = 0; i * 10 <= deep + 1e-6; i++) add(kinds[i % 5 ? 0 : 1], x0, y0 + 10 * i, 0, -x0, y0 + 10 * i, 0);
    add(kinds[1], -x0, y0, 0, -x0, -y0, 0, x0, -y0, 0, -x0, -y0, 0);
    return kinds.map((lines) => ({ made: buffer(gl, gl.ARRAY_BUFFER, new Float32Array(lines)), count: lines.length / 3 }));
  }

  // -- drawing

  function draw() {
    cancelAnimationFrame(state.wanted);
    state.wanted = requestAnimationFrame(paint);
  }

  function paint() {
    const [wide, tall] = resized(canvas);
    const camera = look.frame(), view = look.matrix(camera);
    const part = Number(slider.value) / 100;
    const cut = part >= 1 ? 1e9 : state.low[2] + part * (state.high[2] - state.low[2]);
    const dark = onDark(stage);
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
    look.mark();
  }

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
    const { back } = look.frame();
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
