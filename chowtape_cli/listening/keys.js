// Keyboard shortcuts. They leave alone what the focused control needs for itself.
"use strict";

(function () {
  const { byId } = listening;

  const typing = (element) =>
    element.closest("input:not([type=checkbox]), select, textarea, dialog");
  const takesSpace = (element) => element.closest("button, summary, input, select, [role=radio]");

  function jump(page, seconds) {
    const { player } = page;
    player.seek(player.position() + seconds * player.rate);
  }

  function shared(page, event) {
    const { player, timeline } = page;
    switch (event.key) {
      case "ArrowLeft":
        return () => jump(page, event.shiftKey ? -5 : -1);
      case "ArrowRight":
        return () => jump(page, event.shiftKey ? 5 : 1);
      case "Home":
        return () => player.seek(player.loop ? player.loop.start : 0);
      case "Escape":
        return player.region ? () => timeline.clear() : null;
      default:
        return null;
    }
  }

  function single(page, event) {
    const { player, timeline, abx } = page;
    if (event.key === " " && !takesSpace(event.target)) return () => page.toggle();
    if (event.key === "?") return () => page.help();
    const common = {
      "[": () => timeline.setIn(),
      "]": () => timeline.setOut(),
      l: () => page.toggleLoop(),
      z: () => page.toggleZoom(),
    }[event.key.toLowerCase()];
    if (common) return common;
    if (abx.running) {
      const which = { a: "a", b: "b", x: "x" }[event.key.toLowerCase()];
      if (!which) return null;
      if (event.shiftKey) return which === "x" ? null : () => abx.answer(which);
      return () => abx.hear(which);
    }
    const count = page.variants.length;
    if (/^[1-9]$/.test(event.key) && Number(event.key) <= count)
      return () => page.choose(Number(event.key) - 1);
    return (
      {
        n: () => page.choose((player.chosen + 1) % count),
        p: () => page.choose((player.chosen + count - 1) % count),
        s: () => page.choose(page.before),
      }[event.key.toLowerCase()] || null
    );
  }

  listening.takeKeys = function (page) {
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
      if (typing(event.target) || byId("help").open) return;
      if (event.target.closest("[role=radio]") && event.key.startsWith("Arrow")) return;
      const act = shared(page, event) || (byId("single-keys").checked ? single(page, event) : null);
      if (!act) return;
      event.preventDefault();
      act();
    });
    byId("position").addEventListener("keydown", (event) => {
      const seconds = { PageUp: 10, PageDown: -10, ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (event.key === "End") page.player.seek(page.player.frames - 1);
      else if (seconds) jump(page, seconds);
      else return;
      event.preventDefault();
    });
  };
})();
