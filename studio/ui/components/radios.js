// Buttons of which one is chosen, as a radio group behaves: by a click, or by the left and right arrow keys.
function radios(buttons, choose) {
  for (const [index, button] of buttons.entries()) {
    button.onclick = () => choose(button.dataset.tool);
    button.onkeydown = (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      const next = buttons[(index + by + buttons.length) % buttons.length];
      choose(next.dataset.tool);
      next.focus();
    };
  }
}

