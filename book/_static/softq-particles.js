/* softq's labs of particles: the exact density of actions in one or two dimensions, and particles beside it.
 *
 * A kind is a class with `q()`, `restart()` and `move()`, like the class of softq/lab/particles.py. Needs softq-base.js
 * before it.
 */
(function () {
  "use strict";

  const { Lab, make, tidy, fixed, numeral } = window.softqLab;
  const { landscape, critic, network, floats, grid, softmax, marginalLaw, binOf, extent, hills } = window.softqKit;
  const BINS = { 1: 40, 2: 12 }; // a side, for the histogram and the total variation
  const CELLS = { 1: 4000, 2: 120 };
  const MARGIN_BINS = 24;
  const MOVABLE = 8; // hills

  class ParticleLab extends Lab {
    // What a kind defines

    /** Which of the landscapes is shown. */
    get state() {
      return this.settings.state || 0;
    }

    /** Q and its gradient, as softqKit.landscape gives them. */
    q() {
      return this.qs[this.state];
    }

    /** A name for Q that changes when Q does. */
    get qName() {
      return this.state + ":" + (this.moves ? this.moves[this.state] : 0);
    }

    /** The landscape has another shape now. */
    reshaped() {
      this.solve();
    }

    /** Put the particles where they start: `this.particles`, a Float64Array of count * dim, and `this.taken` = 0. */
    restart() {}

    /** One step of all particles; it adds 1 to `this.taken`. */
    move() {}

    /** A step, or a part of one where steps are long; whether it is complete. */
    moveUntil(_until) {
      this.move();
      return true;
    }

    /** The step after which no other comes. */
    get length() {
      return Infinity;
    }

    /** The numbers in the readout, [[label, text], ...], from `this.law` and `this.seen`. */
    readouts() {
      return [];
    }

    /** What the points of the picture are. */
    get word() {
      return "particles";
    }

    /** What comes before the numbers in the words for the canvas. */
    get subject() {
      return "";
    }

    // What is sampled: a critic in the exported states, or landscapes whose hills can be dragged

    /** Take the states of `TemperatureLab.tables` and `DialLab.tables`. */
    useStates(data) {
      this.dim = data.dim;
      if (data.network) {
        const net = network(data.network);
        this.qs = data.states.map((state) => critic(net, floats(state.features)));
      } else this.useLandscapes(data.states.map((state) => state.landscape));
    }

    /** Take exported landscapes; the hills of those with few can be dragged. */
    useLandscapes(specs) {
      this.asExported = specs;
      this.lands = specs.map(copyOf);
      this.qs = this.lands.map(landscape);
      this.moves = specs.map(() => 0);
      this.heights = specs.map(() => null);
    }

    get land() {
      return this.lands ? this.lands[this.state] : null;
    }

    get movable() {
      return this.land && this.land.bumps.length > 0 && this.land.bumps.length <= MOVABLE;
    }

    handles() {
      if (!this.movable || !this.law) return [];
      const { land, dim } = this, q = this.q();
      return land.bumps.map(([height, centre], i) => {
        const value = q(Float64Array.from(centre), null);
        const place = centre.map((x) => fixed(x, 2)).join(", ");
        const text = "at " + place + (dim === 1 ? ", value " + fixed(value, 2) : ", height " + fixed(height, 2));
        return {
          name: "hill " + i, label: this.hillName(i), frame: dim === 1 ? "value" : "square",
          x: centre[0], y: dim === 1 ? value : centre[1], text: text,
        };
      });
    }

    hillName(i) {
      const { bumps } = this.land;
      if (this.dim > 1 || bumps.length !== 2) return "Hill " + (i + 1);
      return bumps[i][1][0] < bumps[1 - i][1][0] ? "Left hill" : "Right hill";
    }

    onHandle(name, x, y) {
      const { land, state, dim } = this, bump = land.bumps[Number(name.split(" ")[1])];
      const round = (v) => Math.round(v * 1000) / 1000;
      if (dim === 1) {
        const others = this.q()(Float64Array.from(bump[1]), null) - bump[0];
        bump[0] = round(Math.min(3, Math.max(-1, y - others)));
      } else bump[1][1] = round(y);
      bump[1][0] = round(x);
      this.land.moved = true;
      this.shape(state);
      this.refresh();
      this.writeAddress();
    }

    shape(state) {
      this.qs[state] = landscape(this.lands[state]);
      this.moves[state] += 1;
      this.reshaped();
    }

    /** Bring all hills back to where they were. */
    restoreHills() {
      if (!this.lands) return;
      this.lands.forEach((land, state) => {
        if (!land.moved) return;
        this.lands[state] = copyOf(this.asExported[state]);
        this.qs[state] = landscape(this.lands[state]);
        this.moves[state] += 1;
      });
    }

    /** "hills" in the address: height, centre of each hill in turn, for the landscape that is shown. */
    readMore(query) {
      const given = (query.get(this.prefix + "hills") || "").split(",").map(parseFloat);
      if (!this.lands || !this.movable) return;
      const { land, dim, state } = this;
      if (given.length !== land.bumps.length * (dim + 1) || !given.every(Number.isFinite)) return;
      land.bumps.forEach((bump, i) => {
        bump[0] = Math.min(3, Math.max(-1, given[i * (dim + 1)]));
        for (let k = 0; k < dim; k++) bump[1][k] = Math.min(1, Math.max(-1, given[i * (dim + 1) + 1 + k]));
      });
      land.moved = true;
      this.qs[state] = landscape(land);
      this.moves[state] += 1;
    }

    writeMore(query) {
      const key = this.prefix + "hills", { land } = this;
      if (land && land.moved) query.set(key, land.bumps.flatMap(([height, centre]) => [height, ...centre]).join());
      else query.delete(key);
    }

    /** [[label, share]] of each hill of Q on a line, between the lowest points. */
    masses() {
      const parts = hills(this.table().values), names = parts.length === 2 ? ["left hill", "right hill"] : null;
      return parts.map(([from, to], k) => {
        let share = 0;
        for (let i = from; i < to; i++) share += this.law.p[i];
        const name = names ? names[k] : parts.length === 1 ? "only hill" : "hill " + (k + 1);
        return { name: name, share: share, from: (2 * from) / this.cells - 1, to: (2 * to) / this.cells - 1 };
      });
    }

    // What all have

    get count() {
      return this.particles.length / this.dim;
    }

    get cells() {
      return CELLS[this.dim];
    }

    get widest() {
      return this.dim === 1 ? 680 : 520;
    }

    get points() {
      return true;
    }

    height(width) {
      return this.dim === 1 ? super.height(width) : width;
    }

    actions() {
      return [
        ["run", "Run", () => (this.running ? this.pause() : this.run(this.taken + this.settings.steps, this.still))],
        ["step", "Step", () => {
          if (this.running) this.pause();
          this.move();
          this.refresh();
          this.writeAddress();
        }],
        ["reset", "Reset", () => {
          if (this.running) this.pause();
          this.restoreHills();
          this.restart();
          this.refresh();
          this.writeAddress();
        }],
      ];
    }

    /** Q on the grid, kept for each landscape. */
    table() {
      if (!this.tables) this.tables = new Map();
      const key = this.qName;
      if (!this.tables.has(key)) {
        if (this.tables.size > 20) this.tables.clear();
        this.tables.set(key, grid(this.q(), this.dim, this.cells));
      }
      return this.tables.get(key);
    }

    /** What the landscape and the temperature imply: the exact law, its marginals, its share of each bin. */
    solve() {
      const table = this.table(), bins = BINS[this.dim], n = this.cells;
      this.law = softmax(table, this.settings.temperature);
      this.binLaw = new Float64Array(bins ** this.dim);
      for (let index = 0; index < this.law.p.length; index++) {
        this.binLaw[binOf(index, n, this.dim, bins)] += this.law.p[index];
      }
      this.marginals = this.dim === 1 ? [] : [0, 1].map((axis) => marginalLaw(this.law, n, axis));
    }

    measure() {
      const { dim, particles, count } = this, bins = BINS[dim], q = this.q(), a = new Float64Array(dim);
      const counts = new Float64Array(bins ** dim);
      let mean = 0, walls = 0;
      for (let k = 0; k < count; k++) {
        let bin = 0, wall = false;
        for (let i = 0; i < dim; i++) {
          a[i] = particles[k * dim + i];
          bin = bin * bins + Math.min(bins - 1, Math.floor(((a[i] + 1) / 2) * bins));
          wall = wall || Math.abs(a[i]) >= 1;
        }
        counts[bin] += 1;
        walls += wall;
        mean += q(a, null);
      }
      let tv = 0, floor = 0;
      for (let c = 0; c < counts.length; c++) {
        const p = this.binLaw[c];
        tv += Math.abs(counts[c] / count - p) / 2;
        floor += Math.sqrt((2 * p * (1 - p)) / (Math.PI * count)) / 2;
      }
      return { mean: mean / count, walls: walls / count, tv: tv, floor: floor, counts: counts };
    }

    refresh() {
      this.seen = this.measure();
      this.showControls();
      this.showRows(this.readouts());
      if (!this.running) {
        this.say(this.statusText());
        this.describe(this.subject + "temperature " + tidy(this.settings.temperature) + ", step " + this.taken +
          ", mean value " + this.seen.mean.toFixed(3) + ", exact " + this.law.mean.toFixed(3) + ".");
      }
      this.redraw();
    }

    /** The status line; it is read aloud when it changes. */
    say(text) {
      if (this.status.textContent !== text) this.status.textContent = text;
    }

    statusText() {
      if (this.taken === 0) return "Particles start uniform. Press Run.";
      if (this.taken >= this.length) {
        return "Complete after step " + this.taken + ". Reset begins again, another seed draws others.";
      }
      return "Step " + this.taken + ".";
    }

    /** Go on to step `target`: drawn frame by frame, or, when `still`, at once and drawn at the end. */
    run(target, still) {
      this.target = Math.min(target, this.length);
      this.computing = still;
      this.buttons.run.textContent = "Pause";
      const perFrame = still ? Infinity : Math.max(1, Math.round((this.target - this.taken) / 240));
      const next = this.loop(() => {
        const until = window.performance.now() + (still ? 70 : 12);
        for (let done = 0; this.taken < this.target && done < perFrame; done++) {
          if (!this.moveUntil(until) || window.performance.now() > until) break;
        }
        if (this.taken >= this.target) {
          this.pause();
          return false;
        }
        if (!still) this.tick();
        return true;
      });
      if (!still) this.say("");
      if (still) next();
      else window.requestAnimationFrame(next);
    }

    /** A frame of a run: the picture, and the numbers a few times in a second. */
    tick() {
      const now = window.performance.now();
      if (!(now - this.told < 120)) {
        this.told = now;
        this.seen = this.measure();
        this.showRows(this.readouts());
      } else if (this.dim === 1) this.seen = this.measure(); // the histogram is part of the picture
      this.redraw();
    }

    pause() {
      this.halt();
      this.computing = false;
      this.buttons.run.textContent = "Run";
      this.refresh();
      this.writeAddress();
    }

    report() {
      const seen = this.measure(), { mean, entropy, logPartition } = this.law;
      return {
        settings: this.settings, taken: this.taken, running: this.running, exact: { mean, entropy, logPartition },
        particles: { mean: seen.mean, walls: seen.walls, tv: seen.tv, floor: seen.floor },
      };
    }

    evaluate(actions) {
      const q = this.q(), out = { q: [], grad: [], density: [] };
      for (const action of actions) {
        const grad = new Float64Array(this.dim), value = q(Float64Array.from(action), grad);
        out.q.push(value);
        out.grad.push(Array.from(grad));
        out.density.push(Math.exp(value / this.settings.temperature - this.law.logPartition));
      }
      return out;
    }

    // Pointer and keyboard

    onPointer(_event) {
      if (!this.running) this.redraw();
    }

    /** The action at the cursor; its first frame has actions along x, the others along both. */
    actionAt(cursor) {
      return this.dim === 1 ? [cursor.x] : [cursor.x, cursor.y];
    }

    hover(cursor) {
      const action = this.actionAt(cursor), { q, density } = this.evaluate([action]);
      return "action " + action.map((x) => fixed(x, 2)).join(", ") + ": Q " + fixed(q[0], 3) +
        ", exact density " + numeral(density[0]);
    }

    // Drawing

    draw(c, width, height, colours) {
      if (!this.law) return;
      this.corner = { x: 0, y: 0, name: "" }; // of the picture that is drawn; a lab may draw more of them
      this.drawPane(c, width, height, colours);
      this.drawCursor(c, colours);
    }

    drawPane(c, width, height, colours) {
      if (this.dim === 1) this.drawLine(c, width, height, colours);
      else this.drawSquare(c, width, height, colours);
    }

    /** One dimension: Q above, below it the exact density, the particles' histogram and the particles. */
    drawLine(c, width, height, colours) {
      const { x, y, name } = this.corner, left = x + 12, right = x + width - 12, top = y + 20;
      const middle = y + Math.round(height * 0.32), bottom = y + height - 24;
      const table = this.table(), n = this.cells, stride = 8;
      const [low, high] = extent(table.values), density = (i) => this.law.p[i] / table.volume;
      const bins = BINS[1], bar = (count) => (count / this.count) * (bins / 2);
      let peak = extent(this.law.p)[1] / table.volume;
      for (const count of this.seen.counts) peak = Math.max(peak, Math.min(bar(count), 2 * peak));
      const above = this.frame("value" + name, { left, right, top, bottom: middle }, [-1, 1], this.valueLimits(low, high));
      const below = this.frame("density" + name, { left, right, top: middle + 14, bottom }, [-1, 1], [0, peak * 1.05]);

      const curve = (frame, value) => {
        c.beginPath();
        for (let i = 0; i < n; i += stride) {
          const a = ((i + 0.5) * 2) / n - 1;
          if (i === 0) c.moveTo(frame.x(a), frame.y(value(i)));
          else c.lineTo(frame.x(a), frame.y(value(i)));
        }
      };
      c.lineWidth = 2;
      c.strokeStyle = colours.ink;
      curve(above, (i) => table.values[i]);
      c.stroke();
      c.fillStyle = colours.sample;
      c.globalAlpha = 0.45;
      this.seen.counts.forEach((count, b) => {
        const from = below.x((2 * b) / bins - 1), to = below.x((2 * (b + 1)) / bins - 1);
        const level = Math.max(below.top, below.y(bar(count)));
        c.fillRect(from + 0.5, level, to - from - 1, bottom - level);
      });
      c.globalAlpha = 1;
      c.strokeStyle = colours.exact;
      c.lineWidth = 2.5;
      curve(below, density);
      c.stroke();

      c.fillStyle = colours.sample;
      c.globalAlpha = Math.min(1, 60 / this.count + 0.12);
      c.beginPath();
      for (const a of this.particles) c.rect(below.x(a) - 0.75, bottom - 8, 1.5, 8);
      c.fill();
      c.globalAlpha = 1;
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.strokeRect(left, y + 0.5, right - left, bottom - y - 0.5);
      c.fillStyle = colours.ink;
      c.textAlign = "left";
      c.fillText("value Q(a)", left + 6, y + 14);
      c.fillStyle = colours.exact;
      c.fillText("exact density", left + 6, middle + 22);
      c.fillStyle = colours.sample;
      c.fillText(this.word, left + 12 + c.measureText("exact density").width + 8, middle + 22);
      this.ticks(c, below, colours);
    }

    /** The limits of Q on a line: those of the landscape as it was, so that a hill can be dragged in still axes. */
    valueLimits(low, high) {
      const range = high - low || 1;
      if (!this.movable) return [low - 0.03 * range, high + 0.1 * range];
      if (!this.heights[this.state]) {
        const [least, most] = extent(grid(landscape(this.asExported[this.state]), 1, 400).values);
        this.heights[this.state] = [least - 0.2 * (most - least), most + 0.35 * (most - least)];
      }
      const [least, most] = this.heights[this.state];
      return [Math.min(least, low - 0.05 * range), Math.max(most, high + 0.05 * range)];
    }

    ticks(c, frame, colours) {
      c.fillStyle = colours.quiet;
      for (const a of [-1, -0.5, 0, 0.5, 1]) {
        c.textAlign = a === -1 ? "left" : a === 1 ? "right" : "center";
        c.fillText(String(a).replace("-", "\u2212"), frame.x(a), frame.bottom + 16);
      }
      c.textAlign = "left";
    }

    /** Two dimensions: colour and particles on the box, and beside it both marginals, exact and of the particles. */
    drawSquare(c, width, height, colours) {
      const { x, y, name } = this.corner, band = Math.round(width * 0.16), left = x + 26, top = y + band + 4;
      const right = x + width - band - 4, bottom = y + height - 24;
      const frame = this.frame("square" + name, { left, right, top, bottom }, [-1, 1], [-1, 1]);
      this.drawParticles(c, frame, colours);
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.strokeRect(left, top, right - left, bottom - top);
      this.drawMarginal(c, 0, (a, p) => [frame.x(a), top - 3 - p * (band - 8)], colours);
      this.drawMarginal(c, 1, (a, p) => [right + 3 + p * (band - 8), frame.y(a)], colours);
      this.ticks(c, frame, colours);
      c.textAlign = "right";
      for (const a of [-1, 0, 1]) {
        c.fillText(String(a).replace("-", "\u2212"), left - 4, frame.y(a) + (a === 1 ? 10 : a === -1 ? 0 : 4));
      }
      c.textAlign = "left";
    }

    /** The square and its particles as one image: a kept background, and a dot stamped into its pixels for each. */
    drawParticles(c, frame, colours) {
      const ratio = window.devicePixelRatio || 1, left = Math.round(frame.left * ratio), top = Math.round(frame.top * ratio);
      const w = Math.round(frame.right * ratio) - left, h = Math.round(frame.bottom * ratio) - top;
      const heat = this.heat(colours), key = [this.heatKey, w, h].join();
      if (this.groundKey !== key) {
        const image = make("canvas", { width: w, height: h }), into = image.getContext("2d", { willReadFrequently: true });
        into.drawImage(heat, 0, 0, w, h);
        this.ground = into.getImageData(0, 0, w, h);
        this.pixels = new ImageData(w, h);
        this.groundKey = key;
      }
      this.pixels.data.set(this.ground.data);
      const { particles } = this, stamp = stampOf((this.count > 800 ? 1.6 : 2.4) * ratio, ratio, colours);
      for (let k = 0; k < particles.length; k += 2) {
        press(this.pixels, stamp, ((particles[k] + 1) / 2) * w, ((1 - particles[k + 1]) / 2) * h);
      }
      c.putImageData(this.pixels, left, top);
    }

    drawMarginal(c, axis, at, colours) {
      const exact = this.marginals[axis], n = exact.length, { particles, count } = this;
      const counts = new Float64Array(MARGIN_BINS);
      for (let k = 0; k < count; k++) {
        const bin = Math.floor(((particles[2 * k + axis] + 1) / 2) * MARGIN_BINS);
        counts[Math.min(MARGIN_BINS - 1, bin)] += MARGIN_BINS / (2 * count);
      }
      const peak = extent(exact)[1], scale = (p) => Math.min(1, p / (1.25 * peak));
      c.fillStyle = colours.sample;
      c.globalAlpha = 0.45;
      counts.forEach((p, b) => {
        const [x0, y0] = at((2 * b) / MARGIN_BINS - 1, 0), [x1, y1] = at((2 * (b + 1)) / MARGIN_BINS - 1, scale(p));
        c.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
      });
      c.globalAlpha = 1;
      c.strokeStyle = colours.exact;
      c.lineWidth = 2;
      c.beginPath();
      for (let i = 0; i < n; i++) {
        const [px, py] = at(((i + 0.5) * 2) / n - 1, scale(exact[i]));
        if (i === 0) c.moveTo(px, py);
        else c.lineTo(px, py);
      }
      c.stroke();
    }

    /** The box as an image, from the surface's colour to the exact law's; made anew only when something changed. */
    heat(colours) {
      const s = this.settings;
      const key = [this.qName, s.show, s.show === "value" || s.temperature, colours.surface].join();
      if (this.heatKey === key) return this.heatImage;
      const n = this.cells, image = make("canvas", { width: n, height: n }), c = image.getContext("2d");
      const pixels = c.createImageData(n, n), numbers = s.show === "value" ? this.table().values : this.law.p;
      const [low, high] = extent(numbers), from = rgb(colours.surface), to = rgb(colours.exact);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          const share = Math.sqrt((numbers[i * n + j] - low) / (high - low || 1)) * 0.85;
          const offset = 4 * ((n - 1 - j) * n + i);
          for (let k = 0; k < 3; k++) pixels.data[offset + k] = from[k] + share * (to[k] - from[k]);
          pixels.data[offset + 3] = 255;
        }
      }
      c.putImageData(pixels, 0, 0);
      this.heatKey = key;
      this.heatImage = image;
      return image;
    }
  }

  /** A dot with a rim in the colour of the ground: [dx, dy, colour, cover] around its middle, with smooth edges. */
  function stampOf(radius, ratio, colours) {
    const inner = rgb(colours.sample), outer = rgb(colours.surface), rim = 0.7 * ratio, reach = Math.ceil(radius + rim);
    const cells = [], covered = (r, distance) => Math.min(1, Math.max(0, r + 0.5 - distance));
    for (let y = -reach; y <= reach; y++) {
      for (let x = -reach; x <= reach; x++) {
        const distance = Math.hypot(x, y), all = covered(radius + rim, distance), core = covered(radius, distance);
        if (all > 0) cells.push([x, y, outer.map((v, k) => v + (core / all) * (inner[k] - v)), all]);
      }
    }
    return cells;
  }

  /** Put the stamp into the pixels, its middle at (px, py). */
  function press(pixels, stamp, px, py) {
    const { width, height, data } = pixels, cx = Math.round(px - 0.5), cy = Math.round(py - 0.5);
    for (const [dx, dy, colour, cover] of stamp) {
      const x = cx + dx, y = cy + dy;
      if (x < 0 || y < 0 || x >= width || y >= height) continue;
      const at = 4 * (y * width + x);
      for (let k = 0; k < 3; k++) data[at + k] += cover * (colour[k] - data[at + k]);
    }
  }

  function copyOf(spec) {
    return Object.assign({}, spec, { bumps: spec.bumps.map(([h, centre, w]) => [h, Array.from(centre), w]) });
  }

  function rgb(hex) {
    return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  }

  Object.assign(window.softqLab, { ParticleLab, rgb });
})();
