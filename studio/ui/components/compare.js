// Before/after viewer: slider, blink, difference and mask, all on the client, so that changing the view costs no rerun.
const VIEWS = ["slider", "blink", "difference", "mask"];

export default function (component) {
  const { data, parentElement: root } = component;
  const stage = root.querySelector(".stage");
  const handle = root.querySelector(".handle");
  const [before, after, difference, overlay] = ["before", "after", "difference", "overlay"].map((name) =>
    root.querySelector("img." + name)
  );
  const caption = root.querySelector(".caption");
  const buttons = [...root.querySelectorAll("[role=radio]")];
  const state = (root.__compare ??= { view: "slider", split: 50, timer: 0, showBefore: false });

  stage.style.setProperty("--ratio", data.width / data.height);
  for (const [img, name] of [[before, "before"], [after, "after"], [difference, "difference"], [overlay, "overlay"]]) {
    if (img.getAttribute("src") !== data[name]) img.src = data[name];
  }
  before.alt = data.before_alt;
  after.alt = data.after_alt;

  function place(split) {
    state.split = Math.min(100, Math.max(0, split));
    stage.style.setProperty("--split", state.split + "%");
    handle.setAttribute("aria-valuenow", String(Math.round(state.split)));
    handle.setAttribute("aria-valuetext", Math.round(state.split) + " % before");
  }

  function show(view) {
    state.view = view;
    stage.dataset.view = view;
    clearInterval(state.timer);
    for (const button of buttons) {
      const chosen = button.dataset.view === view;
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    handle.hidden = view !== "slider";
    stage.dataset.blink = "after";
    caption.textContent = data.captions[view];
    if (view === "blink") {
      const slow = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      state.timer = setInterval(() => {
        stage.dataset.blink = stage.dataset.blink === "after" ? "before" : "after";
      }, slow ? 2500 : 700);
    }
  }

  const toSplit = (event) => {
    const box = stage.getBoundingClientRect();
    return (100 * (event.clientX - box.left)) / box.width;
  };
  stage.onpointerdown = (event) => {
    if (state.view !== "slider" || event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    place(toSplit(event));
  };
  stage.onpointermove = (event) => {
    if (stage.hasPointerCapture(event.pointerId)) place(toSplit(event));
  };
  handle.onkeydown = (event) => {
    const step = event.shiftKey ? 10 : 2;
    const next = {
      ArrowLeft: state.split - step, ArrowDown: state.split - step,
      ArrowRight: state.split + step, ArrowUp: state.split + step,
      PageDown: state.split - 10, PageUp: state.split + 10, Home: 0, End: 100,
    }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    place(next);
  };
  for (const button of buttons) {
    button.onclick = () => show(button.dataset.view);
    button.onkeydown = (event) => {
      const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      const view = VIEWS[(VIEWS.indexOf(state.view) + move + VIEWS.length) % VIEWS.length];
      show(view);
      buttons.find((other) => other.dataset.view === view).focus();
    };
  }
  place(state.split);
  show(state.view);
  return () => clearInterval(state.timer);
}
