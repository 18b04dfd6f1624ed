// The heat map over its photograph: opacity and boxes change on the client, so that neither costs a rerun.
export default function (component) {
  const { data, parentElement: root } = component;
  const stage = root.querySelector(".stage");
  const slider = root.querySelector(".opacity");
  const boxes = root.querySelector(".boxes");
  const toggle = root.querySelector(".show-boxes");
  const state = (root.__heat ??= { opacity: 80, boxes: true });

  stage.style.setProperty("--ratio", data.ratio);
  root.querySelector(".scale").style.background = `linear-gradient(to right, ${data.scale.join(",")})`;
  for (const name of ["photo", "heat"]) {
    const img = root.querySelector("img." + name);
    if (img.getAttribute("src") !== data[name]) img.src = data[name];
  }
  boxes.replaceChildren(...data.boxes.map(([left, top, width, height], index) => {
    const box = document.createElement("div");
    box.className = "box";
    Object.assign(box.style, {
      left: 100 * left + "%", top: 100 * top + "%", width: 100 * width + "%", height: 100 * height + "%",
    });
    box.title = `Region ${index + 1}`;
    return box;
  }));

  function show() {
    stage.style.setProperty("--opacity", state.opacity / 100);
    slider.value = state.opacity;
    slider.setAttribute("aria-valuetext", `${state.opacity} % heat map`);
    toggle.checked = state.boxes;
    boxes.hidden = !state.boxes;
  }
  slider.oninput = () => { state.opacity = Number(slider.value); show(); };
  toggle.onchange = () => { state.boxes = toggle.checked; show(); };
  show();
}
