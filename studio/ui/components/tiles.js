// A row of picture tiles that behaves as one radio group: arrow keys move, Enter or Space or a click picks.
export default function (component) {
  const { data, parentElement: root, setTriggerValue } = component;
  const row = root.querySelector(".row");
  row.setAttribute("aria-label", data.label);
  row.dataset.shape = data.shape;
  row.dataset.wrap = data.wrap;

  const wanted = JSON.stringify(data.items.map((item) => [item.id, item.label]));
  if (row.dataset.items !== wanted) {
    row.dataset.items = wanted;
    row.replaceChildren(
      ...data.items.map((item) => {
        const tile = document.createElement("button");
        tile.type = "button";
        tile.className = "tile";
        tile.dataset.id = item.id;
        tile.setAttribute("role", "radio");
        tile.setAttribute("aria-label", item.label);
        tile.title = item.label;
        const picture = document.createElement("img");
        picture.src = item.src;
        picture.alt = "";
        picture.draggable = false;
        const text = document.createElement("span");
        text.textContent = item.label;
        tile.append(picture, text);
        return tile;
      })
    );
  }
  const tiles = [...row.children];
  const mark = (id) => {
    const known = tiles.some((tile) => tile.dataset.id === id);
    tiles.forEach((tile, index) => {
      const chosen = tile.dataset.id === id;
      tile.setAttribute("aria-checked", String(chosen));
      tile.tabIndex = chosen || (!known && index === 0) ? 0 : -1;
    });
  };
  const pick = (tile) => {
    mark(tile.dataset.id);
    if (data.reveal) document.querySelector(data.reveal)?.scrollIntoView({ block: "start" });
    setTriggerValue("picked", tile.dataset.id);
  };
  tiles.forEach((tile, index) => {
    tile.onclick = () => pick(tile);
    tile.onkeydown = (event) => {
      const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      // Focus moves without picking: every pick starts work in the background.
      tiles[(index + move + tiles.length) % tiles.length].focus();
    };
  });
  mark(data.selected ?? "");
  const chosen = tiles.find((tile) => tile.dataset.id === data.selected);
  if (chosen && row.dataset.seen !== data.selected) {
    row.dataset.seen = data.selected;
    row.scrollLeft = Math.max(0, chosen.offsetLeft - (row.clientWidth - chosen.offsetWidth) / 2);
  }
}
