// The spectrogram of what is heard, made in short slices between other work, and kept.
"use strict";

(function () {
  const { byId } = listening;
  const FLOOR = -90; // dB below a full-scale sine, the darkest colour
  const CEILING = 0; // the brightest
  const LOWEST = 40; // Hz at the bottom of the axis, which is logarithmic
  const SLICE = 9; // milliseconds of work at a time
  const KEPT = 48; // pictures
  const MOST_COLUMNS = 1100;
  const KILOHERTZ = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];

  // An FFT in place of one fixed size, decimation in time.
  function makeFft(size) {
    const cos = new Float64Array(size / 2);
    const sin = new Float64Array(size / 2);
    for (let i = 0; i < size / 2; i += 1) {
      cos[i] = Math.cos((2 * Math.PI * i) / size);
      sin[i] = -Math.sin((2 * Math.PI * i) / size);
    }
    const swapped = new Uint32Array(size);
    for (let i = 1; i < size; i += 1) swapped[i] = (swapped[i >> 1] >> 1) | (i & 1 ? size >> 1 : 0);
    return function (re, im) {
      for (let i = 0; i < size; i += 1) {
        const j = swapped[i];
        if (j > i) {
          [re[i], re[j]] = [re[j], re[i]];
          [im[i], im[j]] = [im[j], im[i]];
        }
      }
      for (let half = 1; half < size; half *= 2) {
        const stride = size / (2 * half);
        for (let start = 0; start < size; start += 2 * half) {
          for (let k = 0; k < half; k += 1) {
            const a = start + k;
            const b = a + half;
            const c = cos[k * stride];
            const s = sin[k * stride];
            const x = re[b] * c - im[b] * s;
            const y = re[b] * s + im[b] * c;
            re[b] = re[a] - x;
            im[b] = im[a] - y;
            re[a] += x;
            im[a] += y;
          }
        }
      }
    };
  }

  // The power spectrum around a frame. The left channel goes in as the real part and the right one
  // as the imaginary: |Z(k)|^2 + |Z(-k)|^2 = 2 (|L|^2 + |R|^2), so one transform serves both.
  class Analyser {
    constructor(rate) {
      this.size = 2 ** Math.round(Math.log2(rate * 0.045));
      this.fft = makeFft(this.size);
      this.window = Float64Array.from(
        { length: this.size },
        (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / this.size),
      );
      this.samples = new Float32Array(this.size);
      this.re = new Float64Array(this.size);
      this.im = new Float64Array(this.size);
    }

    fill(part, buffer, channel, start) {
      const { samples, size } = this;
      samples.fill(0);
      const begin = Math.max(0, start);
      const room = samples.subarray(
        begin - start,
        Math.max(begin - start, Math.min(size, buffer.length - start)),
      );
      if (room.length) buffer.copyFromChannel(room, channel, begin);
      for (let i = 0; i < size; i += 1) part[i] = samples[i] * this.window[i];
    }

    // Adds to power, whose entries 0..size/2 are relative to a sine at full scale.
    add(power, buffer, centre, weight) {
      const start = Math.round(centre - this.size / 2);
      const { re, im, size } = this;
      this.fill(re, buffer, 0, start);
      if (buffer.numberOfChannels > 1) this.fill(im, buffer, 1, start);
      else im.fill(0);
      this.fft(re, im);
      const unit = (weight * 8) / (size * size * buffer.numberOfChannels);
      for (let k = 0; k <= size / 2; k += 1) {
        const mirror = (size - k) % size;
        power[k] += unit * (re[k] ** 2 + im[k] ** 2 + re[mirror] ** 2 + im[mirror] ** 2);
      }
    }
  }

  function palette() {
    const stops = [0, 1, 2, 3, 4].map((i) =>
      listening
        .colour(`--heat-${i}`)
        .match(/[0-9a-f]{2}/gi)
        .map((hex) => parseInt(hex, 16)),
    );
    return Array.from({ length: 256 }, (_, i) => {
      const at = (i / 255) * 4;
      const below = Math.min(3, Math.floor(at));
      return stops[below].map((value, c) => value + (stops[below + 1][c] - value) * (at - below));
    });
  }

  class Spectrogram {
    constructor(timeline, loader) {
      Object.assign(this, {
        timeline,
        loader,
        kept: new Map(),
        analyser: new Analyser(loader.rate),
        wanted: [],
      });
      this.forget();
    }

    // After the colours have changed.
    forget() {
      this.kept.clear();
      this.palette = palette();
    }

    // Shows a variant, and works on the others in advance.
    show(number) {
      this.number = number;
      const { width, height, scale } = listening.sharp(byId("spectrogram"));
      // at least 1, as a page has no width before it is laid out
      this.columns = Math.max(1, Math.min(MOST_COLUMNS, Math.round(width * scale)));
      this.rows = Math.max(1, Math.min(320, Math.round(height * scale)));
      const ready = this.loader.tracks
        .map((_, other) => other)
        .filter((other) => other !== number && this.loader.ready(other));
      this.wanted = (this.loader.ready(number) ? [number] : []).concat(ready).slice(0, KEPT);
      this.draw();
      if (!this.working) this.work();
    }

    picture(number) {
      const { from, to } = this.timeline.view;
      const key = [number, from, to, this.columns, this.rows].join();
      let picture = this.kept.get(key);
      if (!picture) {
        const canvas = listening.make("canvas", { width: this.columns, height: this.rows });
        picture = { canvas, context: canvas.getContext("2d"), column: 0, from, to };
      }
      this.kept.delete(key);
      this.kept.set(key, picture);
      if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
      return picture;
    }

    work() {
      const end = performance.now() + SLICE;
      this.working = true;
      while (this.wanted.length && performance.now() < end) {
        const number = this.wanted[0];
        const picture = this.picture(number);
        const track = this.loader.tracks[number];
        if (picture.column >= this.columns || !track.buffer) this.wanted.shift();
        else this.drawColumn(picture, track.buffer);
      }
      this.draw();
      this.working = this.wanted.length > 0;
      if (this.working) setTimeout(() => this.work(), 6);
    }

    drawColumn(picture, buffer) {
      const { analyser } = this;
      const step = (picture.to - picture.from) / this.columns;
      const centre = picture.from + (picture.column + 0.5) * step;
      const power = new Float64Array(analyser.size / 2 + 1);
      const places = step > analyser.size ? [-0.25, 0.25] : [0];
      for (const place of places)
        analyser.add(power, buffer, centre + place * step, 1 / places.length);
      const image = picture.context.createImageData(1, this.rows);
      for (let row = 0; row < this.rows; row += 1) {
        const level = 10 * Math.log10(this.between(power, row) + 1e-20);
        const heat = Math.round(
          Math.min(1, Math.max(0, (level - FLOOR) / (CEILING - FLOOR))) * 255,
        );
        image.data.set([...this.palette[heat], 255], 4 * row);
      }
      picture.context.putImageData(image, picture.column, 0);
      picture.column += 1;
    }

    // The strongest bin that a row covers; between bins, interpolated.
    between(power, row) {
      const bin = this.loader.rate / this.analyser.size;
      const low = this.hertz(1 - (row + 1) / this.rows) / bin;
      const high = this.hertz(1 - row / this.rows) / bin;
      if (high - low < 1) {
        const at = Math.min((low + high) / 2, power.length - 1.001);
        const below = Math.floor(at);
        return power[below] + (power[below + 1] - power[below]) * (at - below);
      }
      let most = 0;
      for (let k = Math.ceil(low); k < high && k < power.length; k += 1)
        most = Math.max(most, power[k]);
      return most;
    }

    // The frequency at a height of 0 (bottom) to 1.
    hertz(height) {
      return LOWEST * (this.loader.rate / 2 / LOWEST) ** height;
    }

    draw() {
      const canvas = byId("spectrogram");
      const context = canvas.getContext("2d");
      const scale = window.devicePixelRatio || 1;
      const [width, height] = [canvas.width / scale, canvas.height / scale];
      context.fillStyle = listening.colour("--heat-0");
      context.fillRect(0, 0, width, height);
      if (this.loader.ready(this.number)) {
        context.drawImage(this.picture(this.number).canvas, 0, 0, width, height);
      }
      context.font = "11px ui-sans-serif, system-ui, sans-serif";
      const span = Math.log(this.loader.rate / 2 / LOWEST);
      let last = Infinity;
      const places = [];
      for (const kilohertz of KILOHERTZ) {
        const y = height * (1 - Math.log((kilohertz * 1000) / LOWEST) / span);
        if (y < 8 || y > height - 8 || last - y < 17) continue;
        last = y;
        places.push([kilohertz, y]);
      }
      places.forEach(([kilohertz, y], i) =>
        listening.label(context, `${kilohertz}${i === places.length - 1 ? " kHz" : ""}`, 6, y),
      );
    }
  }

  listening.Spectrogram = Spectrogram;
  listening.Analyser = Analyser;
})();
