// The waveform of what is heard: its extremes, and its RMS inside them.
"use strict";

(function () {
  const { byId } = listening;

  // Lowest, highest and RMS over frames from..to, from the overview or, close up, from the samples.
  function extremes(track, from, to) {
    const { overview } = track;
    let [low, high, power] = [0, 0, 0];
    const first = Math.floor(from / overview.frames);
    const last = Math.min(
      Math.max(first + 1, Math.ceil(to / overview.frames)),
      overview.low.length,
    );
    for (let i = first; i < last; i += 1) {
      if (overview.low[i] < low) low = overview.low[i];
      if (overview.high[i] > high) high = overview.high[i];
      power += overview.power[i];
    }
    return { low, high, rms: Math.sqrt(power / Math.max(1, last - first)) };
  }

  function drawColumns(context, track, view, width, scale, yOf, colour) {
    context.fillStyle = colour;
    const perColumn = (view.to - view.from) / (width * scale);
    const bars = (alpha, top, bottom) => {
      context.globalAlpha = alpha;
      for (let column = 0; column < width * scale; column += 1) {
        const from = view.from + column * perColumn;
        const seen = extremes(track, from, from + perColumn);
        const y = yOf(top(seen));
        context.fillRect(column / scale, y, 1 / scale, Math.max(1 / scale, yOf(bottom(seen)) - y));
      }
    };
    bars(
      0.5,
      (seen) => seen.high,
      (seen) => seen.low,
    );
    bars(
      1,
      (seen) => Math.min(seen.rms, seen.high),
      (seen) => Math.max(-seen.rms, seen.low),
    );
    context.globalAlpha = 1;
  }

  // Close up: one line for each channel.
  function drawSamples(context, buffer, view, timeline, yOf, colour) {
    const from = Math.max(0, Math.floor(view.from) - 1);
    const data = new Float32Array(Math.min(buffer.length - from, Math.ceil(view.to - from) + 2));
    const perPixel = (view.to - view.from) / timeline.width;
    context.strokeStyle = colour;
    context.lineJoin = "round";
    for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
      buffer.copyFromChannel(data, channel, from);
      context.globalAlpha = channel ? 0.55 : 1;
      context.lineWidth = perPixel > 2 ? 1 : 1.5;
      context.beginPath();
      data.forEach((sample, i) => context.lineTo(timeline.xOf(from + i), yOf(sample)));
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  // Draws a variant; none in a blind test, where only the axis may be seen.
  listening.drawWaveform = function (timeline, track, colour, top) {
    const { context, width, height, scale } = listening.sharp(byId("waveform"));
    const yOf = (sample) => height / 2 - (sample / top) * (height / 2 - 2);
    context.strokeStyle = listening.colour("--line");
    context.lineWidth = 1;
    context.beginPath();
    const decibels = [0, -6, -12, -18, -24, -36, -48]
      .filter((level) => 10 ** (level / 20) <= top)
      .slice(0, 2);
    for (const level of [
      0,
      ...decibels.flatMap((level) => [10 ** (level / 20), -(10 ** (level / 20))]),
    ]) {
      context.moveTo(0, Math.round(yOf(level)) + 0.5);
      context.lineTo(width, Math.round(yOf(level)) + 0.5);
    }
    context.stroke();
    if (track && track.overview) {
      const close =
        (timeline.view.to - timeline.view.from) / (width * scale) < track.overview.frames;
      if (close) drawSamples(context, track.buffer, timeline.view, timeline, yOf, colour);
      else drawColumns(context, track, timeline.view, width, scale, yOf, colour);
    }
    context.font = "11px ui-sans-serif, system-ui, sans-serif";
    const apart =
      decibels.length < 2 || yOf(10 ** (decibels[1] / 20)) - yOf(10 ** (decibels[0] / 20)) > 15;
    decibels.slice(0, apart ? 2 : 1).forEach((level, i) => {
      listening.label(
        context,
        listening.figure(level, 0, i ? "" : "dBFS"),
        6,
        Math.max(9, yOf(10 ** (level / 20))),
      );
    });
  };

  // A label that can be read on any picture.
  listening.label = function (context, text, x, y) {
    const width = context.measureText(text).width;
    context.globalAlpha = 0.82;
    context.fillStyle = listening.colour("--well");
    context.fillRect(x - 3, y - 7, width + 6, 14);
    context.globalAlpha = 1;
    context.fillStyle = listening.colour("--quiet");
    context.textBaseline = "middle";
    context.fillText(text, x, y + 0.5);
  };
})();
