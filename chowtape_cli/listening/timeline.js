// The time axis: what part is in view, where the playhead is, and the loop, drawn and dragged.
"use strict";

(function () {
  const { byId, clock } = listening;
  const LEAST_LOOP = 0.05; // seconds
  const DRAG = 4; // CSS pixels that tell a drag from a click
  const STEPS = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600,
    1800, 3600,
  ];

  class Timeline extends EventTarget {
    constructor(player) {
      super();
      this.player = player;
      this.view = { from: 0, to: player.frames };
      this.zoomed = false;
      this.mark = null; // where a loop's first end was set
      this.takePointers();
      this.takeHandles();
      new ResizeObserver(() => this.draw()).observe(byId("timeline"));
      player.addEventListener("change", () => this.drawLoop());
    }

    get width() {
      return byId("timeline").clientWidth;
    }

    xOf(frame) {
      return ((frame - this.view.from) / (this.view.to - this.view.from)) * this.width;
    }

    frameAt(clientX) {
      const x = clientX - byId("timeline").getBoundingClientRect().left;
      const frame = this.view.from + (x / this.width) * (this.view.to - this.view.from);
      return Math.round(Math.min(Math.max(frame, 0), this.player.frames));
    }

    // A drag on the axis, or with Shift in the picture, makes a loop; anything else seeks.
    takePointers() {
      const drag = (element, loops) => {
        element.addEventListener("pointerdown", (event) => {
          if (event.button !== 0 || event.target.closest(".handle")) return;
          element.setPointerCapture(event.pointerId);
          const start = {
            x: event.clientX,
            frame: this.frameAt(event.clientX),
            loop: loops || event.shiftKey,
          };
          if (!start.loop) this.seekSoon(start.frame);
          const move = (moved) => {
            if (!start.loop) this.seekSoon(this.frameAt(moved.clientX));
            else if (Math.abs(moved.clientX - start.x) > DRAG)
              this.drawRegion(start.frame, this.frameAt(moved.clientX));
          };
          const end = (last) => {
            element.removeEventListener("pointermove", move);
            element.removeEventListener("pointerup", end);
            element.removeEventListener("pointercancel", end);
            if (!start.loop || last.type === "pointercancel") return this.drawLoop();
            if (Math.abs(last.clientX - start.x) > DRAG)
              return this.setLoop(start.frame, this.frameAt(last.clientX));
            return this.player.seek(start.frame);
          };
          element.addEventListener("pointermove", move);
          element.addEventListener("pointerup", end);
          element.addEventListener("pointercancel", end);
        });
      };
      drag(byId("ruler"), true);
      drag(byId("position"), false);
    }

    // At most one seek for each picture that is shown.
    seekSoon(frame) {
      if (this.seekTo === undefined) {
        requestAnimationFrame(() => {
          this.player.seek(this.seekTo);
          this.seekTo = undefined;
        });
      }
      this.seekTo = frame;
    }

    takeHandles() {
      for (const end of ["start", "end"]) {
        const handle = byId(end === "start" ? "handle-in" : "handle-out");
        handle.addEventListener("pointerdown", (event) => {
          if (event.button !== 0) return;
          handle.setPointerCapture(event.pointerId);
          const { region } = this.player;
          const shift =
            this.xOf(region[end]) - (event.clientX - byId("timeline").getBoundingClientRect().left);
          const other = end === "start" ? region.end : region.start;
          const move = (moved) => this.drawRegion(other, this.frameAt(moved.clientX + shift));
          handle.addEventListener("pointermove", move);
          const done = (last) => {
            handle.removeEventListener("pointermove", move);
            if (last.type === "pointerup") this.setLoop(other, this.frameAt(last.clientX + shift));
            else this.drawLoop();
          };
          handle.addEventListener("pointerup", done, { once: true });
          handle.addEventListener("pointercancel", done, { once: true });
        });
        handle.addEventListener("keydown", (event) => {
          const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
          if (!way || event.ctrlKey || event.altKey || event.metaKey) return;
          event.preventDefault();
          event.stopPropagation();
          const region = { ...this.player.region };
          region[end] += way * Math.round(this.player.rate * (event.shiftKey ? 0.1 : 0.01));
          if (region.end - region.start >= LEAST_LOOP * this.player.rate)
            this.setLoop(region.start, region.end);
        });
      }
    }

    setLoop(one, other) {
      const { player } = this;
      const least = Math.min(player.frames, Math.ceil(LEAST_LOOP * player.rate));
      const clamp = (frame) => Math.min(Math.max(Math.round(frame), 0), player.frames);
      let [start, end] = [clamp(one), clamp(other)].sort((a, b) => a - b);
      if (end - start < least) {
        start = Math.min(start, player.frames - least);
        end = start + least;
      }
      this.mark = null;
      player.setLoop({ start, end }, true);
    }

    // Sets one end at the playhead; until there are two, the other is the file's.
    setIn() {
      const { region, frames } = this.player;
      const here = Math.round(this.player.position());
      const end = region && region.end > here ? region.end : frames;
      this.setLoop(here, end);
      listening.say(`Loop from ${this.clock(here)}`);
    }

    setOut() {
      const { region } = this.player;
      const here = Math.round(this.player.position());
      this.setLoop(region && region.start < here ? region.start : 0, here);
      listening.say(`Loop to ${this.clock(here)}`);
    }

    clear() {
      this.zoom(false);
      this.player.setLoop(null, false);
    }

    zoom(wanted) {
      const { region, frames } = this.player;
      this.zoomed = Boolean(wanted && region);
      if (this.zoomed) {
        const margin = Math.round((region.end - region.start) * 0.1);
        this.view = {
          from: Math.max(0, region.start - margin),
          to: Math.min(frames, region.end + margin),
        };
      } else {
        this.view = { from: 0, to: frames };
      }
      this.draw();
    }

    clock(frame) {
      return clock(frame / this.player.rate, 3);
    }

    draw() {
      this.drawRuler();
      this.drawLoop();
      this.movePlayhead();
      this.dispatchEvent(new Event("draw"));
    }

    drawRuler() {
      const { context, width, height } = listening.sharp(byId("ruler-picture"));
      const { rate } = this.player;
      const seconds = (this.view.to - this.view.from) / rate;
      const step = STEPS.find((candidate) => (candidate / seconds) * width >= 76) || 7200;
      const digits = step >= 1 ? 0 : Math.min(3, Math.ceil(-Math.log10(step) - 1e-9));
      context.font = "11px ui-sans-serif, system-ui, sans-serif";
      context.fillStyle = listening.colour("--quiet");
      context.strokeStyle = listening.colour("--line-strong");
      context.beginPath();
      const first = Math.ceil(this.view.from / rate / step - 1e-9);
      for (let i = first; i * step * rate <= this.view.to; i += 1) {
        const x = Math.round(this.xOf(i * step * rate)) + 0.5;
        context.moveTo(x, 3);
        context.lineTo(x, height);
        const text = clock(i * step, digits) + (i === first ? " min:s" : "");
        if (x + context.measureText(text).width + 4 < width)
          context.fillText(text, x + 4, 12);
      }
      context.stroke();
    }

    drawLoop() {
      const { region, looping } = this.player;
      byId("region").classList.toggle("off", !looping);
      if (region) this.drawRegion(region.start, region.end);
      for (const id of ["region", "handle-in", "handle-out"]) byId(id).hidden = !region;
    }

    drawRegion(one, other) {
      const [start, end] = [Math.min(one, other), Math.max(one, other)];
      const [left, right] = [Math.max(this.xOf(start), 0), Math.min(this.xOf(end), this.width)];
      const region = byId("region");
      region.hidden = right <= left;
      region.style.transform = `translateX(${left}px)`;
      region.style.width = `${Math.max(0, right - left)}px`;
      for (const [id, x, frame] of [
        ["handle-in", this.xOf(start), start],
        ["handle-out", this.xOf(end), end],
      ]) {
        const handle = byId(id);
        const size = handle.offsetWidth || 44;
        const wanted = id === "handle-in" ? x - size : x;
        handle.style.transform = `translateX(${Math.min(Math.max(wanted, 0), this.width - size)}px)`;
        handle.setAttribute("aria-valuemin", 0);
        handle.setAttribute("aria-valuemax", (this.player.frames / this.player.rate).toFixed(3));
        handle.setAttribute("aria-valuenow", (frame / this.player.rate).toFixed(3));
        handle.setAttribute("aria-valuetext", this.clock(frame));
      }
    }

    movePlayhead() {
      const x = this.xOf(this.player.position());
      const playhead = byId("playhead");
      playhead.style.transform = `translateX(${x}px)`;
      playhead.hidden = x < 0 || x > this.width + 0.5;
    }
  }

  listening.Timeline = Timeline;
})();
