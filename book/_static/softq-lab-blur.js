/* softq's lab of blurs: two ways to blur a landscape, and one chain on Q and on a transform of Q with the same noise.
 *
 * The class `BlurLab` of softq/lab/blur.py in the page, and the functions of that module.
 */
(function () {
  "use strict";

  const { Lab, register, make, numeral, fixed, tidy } = window.softqLab;
  const { landscape, grid, place, softmax, generator, project, extent } = window.softqKit;
  const { erf } = window.softqSamplers.maths;
  const CELLS = { 1: 4000, 2: 120 }, SHORT = 560;
  const SPACING = 0.02; // of the sums over a square
  const normalBelow = (x) => 0.5 * (1 + erf(x / Math.SQRT2));

  const maths = {};

  /** The landscape of bumps `spec` blurred by `sigma`, as a landscape of bumps. */
  maths.blurred = function (spec, sigma) {
    const bumps = spec.bumps.map(([height, centre, width]) => {
      const wider = width * width + sigma * sigma;
      return [height * Math.pow((width * width) / wider, spec.dim / 2), centre, Math.sqrt(wider)];
    });
    return landscape({ dim: spec.dim, bumps: bumps });
  };

  /** The transform `kind` of a value and its derivative there; `ranks` is [lowest, highest, shares at the knots]. */
  maths.transform = function (kind, value, [low, high, share]) {
    if (kind === "cube") return [value ** 3, 3 * value ** 2];
    if (kind === "million") return [1e6 * value, 1e6];
    const gap = (high - low) / (share.length - 1);
    const k = Math.min(share.length - 2, Math.max(0, Math.floor((value - low) / gap)));
    const slope = (share[k + 1] - share[k]) / gap;
    return [share[k] + slope * (value - (low + k * gap)), slope];
  };

  /** NC-LQL's chain from `starts` (n * dim) with the noise of each step, on Q or, with a `kind`, on its transform. */
  maths.run = function (data, name, kind, unit, temperature, starts, noise) {
    const { landscape: spec, ranks } = data.places[name], { dim } = spec, grad = new Float64Array(dim);
    const a = Float64Array.from(starts), here = new Float64Array(dim);
    noise.forEach((xi, t) => {
      const level = Math.floor(t / data.steps_per_level), alpha = data.alphas[level], root = Math.sqrt(alpha);
      const q = maths.blurred(spec, data.levels[level]);
      for (let k = 0; k < a.length; k += dim) {
        for (let i = 0; i < dim; i++) here[i] = a[k + i];
        const value = q(here, grad);
        let factor = kind ? maths.transform(kind, value, ranks)[1] : 1;
        if (unit) {
          const length = Math.hypot(...grad) * factor;
          factor = length > 0 ? factor / length : 0;
        }
        for (let i = 0; i < dim; i++) {
          a[k + i] = project(a[k + i] + ((alpha / 2) * factor * grad[i]) / temperature + root * xi[k + i]);
        }
      }
    });
    return a;
  };

  /** The soft maximum of Q over Gaussian noise at each point of a path: F = temperature * log E exp(Q / temperature). */
  maths.softMaximum = function (spec, temperature, sigma, path) {
    const { dim } = spec, q = landscape(spec), tallest = Math.max(...spec.bumps.map((bump) => bump[0]));
    const narrowest = Math.min(...spec.bumps.map((bump) => bump[2])) / Math.sqrt(1 + tallest / temperature);
    const h = dim === 1 ? Math.min(narrowest, sigma) / 2 : SPACING, far = 1 + 5 * sigma;
    const n = Math.ceil((2 * far) / h) + 1, node = (i) => -far + i * h, weights = new Float64Array(n ** dim);
    const a = new Float64Array(dim);
    for (let index = 0; index < weights.length; index++) {
      if (dim === 1) a[0] = node(index);
      else {
        a[0] = node(Math.floor(index / n));
        a[1] = node(index % n);
      }
      weights[index] = q(a, null) / temperature;
    }
    const top = extent(weights)[1];
    for (let index = 0; index < weights.length; index++) weights[index] = Math.exp(weights[index] - top);
    const kernel = (x, out) => {
      for (let i = 0; i < n; i++) out[i] = (h * Math.exp(-0.5 * ((node(i) - x) / sigma) ** 2)) / sigma / Math.sqrt(2 * Math.PI);
    };
    const first = new Float64Array(n), second = new Float64Array(n);
    return path.map((point) => {
      kernel(point[0], first);
      if (dim === 2) kernel(point[1], second);
      let total = 0;
      for (let i = 0; i < n; i++) {
        if (first[i] < 1e-9 * h) continue;
        if (dim === 1) total += first[i] * weights[i];
        else {
          let row = 0;
          for (let j = 0; j < n; j++) row += second[j] * weights[i * n + j];
          total += first[i] * row;
        }
      }
      return temperature * (top + Math.log(total));
    });
  };

  class BlurLab extends Lab {
    prepare() {
      this.tables = {};
      for (const [name, row] of Object.entries(this.data.places)) {
        const { dim } = row.landscape, table = grid(landscape(row.landscape), dim, CELLS[dim]), a = new Float64Array(dim);
        const better = new Uint8Array(table.values.length);
        for (let i = 0; i < better.length; i++) {
          place(i, CELLS[dim], dim, a);
          better[i] = this.better(row, a, 0);
        }
        this.tables[name] = { table, better };
      }
    }

    get place() {
      return this.data.places[this.settings.landscape];
    }

    get dim() {
      return this.place.landscape.dim;
    }

    /** Whether the action at `at` of `a` is on the better hill. */
    better(row, a, at) {
      if (row.normal.length) {
        let ahead = -row.cut;
        row.normal.forEach((v, i) => (ahead += v * a[at + i]));
        return ahead > 0;
      }
      const turns = Math.atan2(a[at + 1], a[at]) / (Math.PI / 2);
      return Math.abs(turns - Math.round(turns)) < 0.25;
    }

    // Exact numbers

    share(p) {
      const { better } = this.tables[this.settings.landscape];
      let sum = 0;
      for (let i = 0; i < p.length; i++) if (better[i]) sum += p[i];
      return sum;
    }

    /** The mass of the better hill after the law `p` on the box is blurred. */
    blurredShare(p, sigma) {
      const { place: row, dim } = this, n = CELLS[dim], a = new Float64Array(dim);
      let sum = 0;
      if (row.normal.length) {
        const length = Math.hypot(...row.normal);
        for (let i = 0; i < p.length; i++) {
          if (p[i] < 1e-14) continue;
          place(i, n, dim, a);
          let ahead = -row.cut;
          row.normal.forEach((v, k) => (ahead += v * a[k]));
          sum += p[i] * normalBelow(ahead / length / sigma);
        }
        return sum;
      }
      // onto the cells of a square of twice the side, one coordinate after the other; what leaves it stays at its rim
      const wide = 2 * n, kernel = Array.from({ length: n }, (_, i) => {
        const x = ((i + 0.5) * 2) / n - 1, below = Array.from({ length: wide + 1 }, (__, j) =>
          j === 0 ? 0 : j === wide ? 1 : normalBelow((-2 + (2 * j) / n - x) / sigma));
        return Float64Array.from({ length: wide }, (__, j) => below[j + 1] - below[j]);
      });
      const rows = new Float64Array(wide * n), at = new Float64Array(2);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          const mass = p[i * n + j];
          if (mass < 1e-14) continue;
          for (let k = 0; k < wide; k++) rows[k * n + j] += mass * kernel[i][k];
        }
      }
      for (let k = 0; k < wide; k++) {
        at[0] = -2 + (2 * k + 1) / n;
        for (let l = 0; l < wide; l++) {
          at[1] = -2 + (2 * l + 1) / n;
          if (!this.better(row, at, 0)) continue;
          for (let j = 0; j < n; j++) sum += rows[k * n + j] * kernel[j][l];
        }
      }
      return sum;
    }

    solve() {
      const s = this.settings, { place: row, dim } = this, { table } = this.tables[s.landscape];
      const key = [s.landscape, s.sigma, s.temperature, s.transform].join();
      if (this.key === key) return;
      this.key = key;
      const of = (values) => softmax({ values: values, volume: table.volume }, s.temperature);
      this.laws = [of(table.values), of(table.values.map((v) => maths.transform(s.transform, v, row.ranks)[0]))];
      const soft = maths.blurred(row.landscape, s.sigma);
      this.masses = {
        softmax: this.share(this.laws[0].p),
        values: this.share(of(grid(soft, dim, CELLS[dim]).values).p),
        density: this.blurredShare(this.laws[0].p, s.sigma),
        transform: this.share(this.laws[1].p),
      };
      const q = landscape(row.landscape), path = row.path.map((point) => Float64Array.from(point));
      this.curves = [
        ["Q", "landscape", path.map((point) => q(point, null))],
        ["values blurred", "values blurred", path.map((point) => soft(point, null))],
        ["density blurred", "density blurred", maths.softMaximum(row.landscape, s.temperature, s.sigma, path)],
      ];
    }

    // The two runs

    sample() {
      const s = this.settings, { dim } = this, rng = generator(s.seed), size = this.data.particles * dim;
      const starts = Float64Array.from({ length: size }, () => 2 * rng.uniform() - 1);
      this.heights = Float64Array.from({ length: this.data.particles }, () => 0.06 + 0.88 * rng.uniform());
      const noise = Array.from({ length: s.step }, () => Float64Array.from({ length: size }, () => rng.normal()));
      const given = [s.unit, s.temperature, starts, noise];
      this.clouds = [null, s.transform].map((kind) => maths.run(this.data, s.landscape, kind, ...given));
      let distance = 0;
      this.clouds[0].forEach((x, i) => (distance = Math.max(distance, Math.abs(x - this.clouds[1][i]))));
      const on = (cloud) => {
        let count = 0;
        for (let k = 0; k < size; k += dim) count += this.better(this.place, cloud, k) ? 1 : 0;
        return count / this.data.particles;
      };
      const level = Math.floor(Math.max(s.step - 1, 0) / this.data.steps_per_level), alpha = this.data.alphas[level];
      this.seen = {
        first: on(this.clouds[0]), second: on(this.clouds[1]), distance, level, drift: alpha / 2 / s.temperature,
        noise: Math.sqrt(alpha),
      };
    }

    get above() {
      return ["landscape", "transform", "unit"];
    }

    actions() {
      return [
        ["run", "Run", () => (this.running ? this.pause() : this.play())],
        ["step", "Step", () => {
          this.pause();
          this.set("step", this.settings.step >= this.last ? 0 : this.settings.step + 1);
        }],
        ["reset", "Reset", () => this.restore()],
      ];
    }

    get last() {
      return this.spec("step").high;
    }

    changed() {
      this.halt();
      this.buttons.run.textContent = "Run";
    }

    /** The twenty steps, four a second. */
    play() {
      if (this.still) {
        this.set("step", this.last);
        return;
      }
      if (this.settings.step >= this.last) this.settings.step = 0;
      this.buttons.run.textContent = "Pause";
      this.refresh();
      let due = window.performance.now() + 350;
      window.requestAnimationFrame(this.loop(() => {
        if (window.performance.now() < due) return true;
        due += 250;
        this.settings.step += 1;
        this.refresh();
        if (this.settings.step < this.last) return true;
        this.buttons.run.textContent = "Run";
        this.writeAddress();
        return false;
      }));
    }

    pause() {
      this.halt();
      this.buttons.run.textContent = "Run";
      this.refresh();
      this.writeAddress();
    }

    refresh() {
      this.solve();
      this.sample();
      this.showControls();
      const { masses, seen } = this, percent = (x) => (100 * x).toFixed(1) + " %";
      const distance = seen.distance < 1e-6 ? "0.000000" : numeral(seen.distance);
      this.showRows([
        ["Largest distance of two twins", distance],
        ["Better hill, both runs", percent(seen.first) + " and " + percent(seen.second)],
        ["Better hill, both softmaxes", percent(masses.softmax) + " and " + percent(masses.transform)],
        ["Better hill, blurred", "values " + percent(masses.values) + ", density " + percent(masses.density)],
        ["Step", this.settings.step + " of " + this.last + ", noise level " + (seen.level + 1)],
        ["Drift and noise of a unit slope", numeral(seen.drift) + " and " + numeral(seen.noise)],
      ]);
      if (!this.running) {
        this.describe(this.place.text + ", after step " + this.settings.step + ": largest distance of the two clouds " +
          tidy(seen.distance) + ". On the better hill: " + percent(seen.first) + " and " + percent(seen.second) +
          " of the actions; softmaxes " + percent(masses.softmax) + " and " + percent(masses.transform) +
          "; with values blurred " + percent(masses.values) + ", with density blurred " + percent(masses.density) + ".");
      }
      this.redraw();
    }

    report() {
      return { settings: this.settings, masses: this.masses, seen: this.seen, curves: this.curves.map((row) => row[2]) };
    }

    get points() {
      return true;
    }

    onPointer() {
      if (!this.running) this.redraw();
    }

    hover(cursor) {
      if (cursor.frame === "curves") {
        const { x } = this.place;
        let k = 0;
        while (k < x.length - 1 && x[k] < cursor.x) k++;
        return this.place.axis + " " + fixed(x[k], 2) + ": " +
          this.curves.map(([label, , values]) => label + " " + fixed(values[k], 3)).join(", ");
      }
      if (cursor.frame === "first" || cursor.frame === "second") {
        const near = this.nearest(cursor);
        const say = (cloud) => Array.from(cloud.slice(near * this.dim, (near + 1) * this.dim), (v) => fixed(v, 3)).join(", ");
        return "nearest action: " + say(this.clouds[0]) + "; its twin: " + say(this.clouds[1]);
      }
      return "";
    }

    nearest(cursor) {
      const cloud = this.clouds[cursor.frame === "first" ? 0 : 1], { dim } = this;
      let best = 0, least = Infinity;
      for (let k = 0; k < this.data.particles; k++) {
        const y = dim === 1 ? 2 * this.heights[k] - 1 : cloud[2 * k + 1];
        const away = (cloud[k * dim] - cursor.x) ** 2 + (y - cursor.y) ** 2;
        if (away < least) [least, best] = [away, k];
      }
      return best;
    }

    // Drawing

    sizes(width) {
      const top = width < SHORT ? 210 : 230, bars = width < SHORT ? 118 : Math.round(width * 0.26);
      return { top, bars, side: Math.round((width - 36) / 2) };
    }

    height(width) {
      const { top, side } = this.sizes(width);
      return top + 34 + side + 74;
    }

    get widest() {
      return 680;
    }

    draw(c, width, _height, colours) {
      if (!this.clouds) return;
      const { top, bars, side } = this.sizes(width), under = top + 30;
      this.drawCurves(c, { left: 34, right: width - bars - 8, top: width < SHORT ? 54 : 30, bottom: top - 30 }, colours);
      this.drawBars(c, { left: width - bars + 4, right: width - 6, top: 22, bottom: top - 30 }, colours);
      const label = this.spec("transform").options.find(([value]) => value === this.settings.transform)[1];
      this.drawCloud(c, 0, "first", { left: 12, top: under, side }, "run on Q", colours);
      this.drawCloud(c, 1, "second", { left: 24 + side, top: under, side }, "run on " + label, colours);
      this.drawTwin(c, colours);
      this.drawSteps(c, { left: 12, right: width - 12, top: under + side + 30 }, colours);
      this.drawCursor(c, colours);
    }

    drawCurves(c, box, colours) {
      const { x } = this.place, all = this.curves.flatMap((row) => row[2]), [low, high] = extent(all);
      const pad = 0.06 * (high - low), frame = this.frame("curves", box, [x[0], x[x.length - 1]], [low - pad, high + pad]);
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
      c.fillStyle = colours.quiet;
      [0, 0.5, 1].forEach((u) => {
        c.textAlign = ["left", "center", "right"][2 * u];
        c.fillText(numeral(x[0] + u * (x[x.length - 1] - x[0])), box.left + u * (box.right - box.left), box.bottom + 14);
      });
      c.textAlign = "center";
      c.fillText(this.place.axis, (box.left + box.right) / 2, box.bottom + 28);
      c.textAlign = "right";
      for (const v of [0, 0.5, 1]) if (v > low - pad && v < high + pad) c.fillText(numeral(v), box.left - 5, frame.y(v) + 4);
      c.textAlign = "left";
      let lx = box.left, ly = 14;
      for (const [label, concept, values] of this.curves) {
        const { colour, dash } = this.look(concept), wide = c.measureText(label).width + 40;
        if (lx + wide > box.right + 20 && lx > box.left) [lx, ly] = [box.left, ly + 16];
        c.strokeStyle = colour;
        c.setLineDash(dash);
        c.lineWidth = 2;
        c.beginPath();
        c.moveTo(lx, ly - 4);
        c.lineTo(lx + 22, ly - 4);
        c.stroke();
        c.beginPath();
        values.forEach((v, i) => (i ? c.lineTo(frame.x(x[i]), frame.y(v)) : c.moveTo(frame.x(x[i]), frame.y(v))));
        c.stroke();
        c.setLineDash([]);
        c.fillStyle = colours.ink;
        c.fillText(label, lx + 26, ly);
        lx += wide;
      }
    }

    /** The mass of the better hill under the softmax and after both blurs. */
    drawBars(c, box, colours) {
      const rows = [["softmax", "exact"], ["values", "values blurred"], ["density", "density blurred"]];
      const wide = (box.right - box.left) / 3, y = (v) => box.bottom - v * (box.bottom - box.top - 30);
      c.textAlign = "center";
      c.fillStyle = colours.ink;
      const title = box.right - box.left > 140 ? "mass of the better hill" : "better hill";
      c.fillText(title, (box.left + box.right) / 2, box.top - 8);
      rows.forEach(([name, concept], i) => {
        const mass = this.masses[name], left = box.left + i * wide;
        c.fillStyle = this.look(concept).colour;
        c.globalAlpha = 0.75;
        c.fillRect(left + 3, y(mass), wide - 6, box.bottom - y(mass));
        c.globalAlpha = 1;
        c.fillStyle = colours.ink;
        c.fillText(fixed(mass, 2), left + wide / 2, y(mass) - 5);
        c.fillStyle = colours.quiet;
        c.fillText(name, left + wide / 2, box.bottom + 14 + (wide < 50 ? 13 * (i % 2) : 0));
      });
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(box.left, box.bottom);
      c.lineTo(box.right, box.bottom);
      c.stroke();
      c.textAlign = "left";
    }

    drawCloud(c, index, name, { left, top, side }, title, colours) {
      const cloud = this.clouds[index], { dim } = this, box = { left, right: left + side, top, bottom: top + side };
      const frame = this.frame(name, box, [-1, 1], [-1, 1]);
      if (dim === 2) c.drawImage(this.heat(index, colours), left, top, side, side);
      else {
        const { p } = this.laws[index], peak = extent(p)[1], { colour } = this.look("exact");
        c.strokeStyle = colour;
        c.lineWidth = 2;
        c.beginPath();
        for (let i = 0; i < p.length; i += 8) {
          let high = 0; // of the cells until the next point, so that no needle is missed
          for (let k = i; k < i + 8; k++) high = Math.max(high, p[k]);
          c.lineTo(frame.x(((i + 4) * 2) / p.length - 1), frame.y((1.85 * high) / peak - 0.97));
        }
        c.stroke();
      }
      c.fillStyle = colours.sample;
      c.strokeStyle = colours.surface;
      c.lineWidth = 0.6;
      for (let k = 0; k < this.data.particles; k++) {
        const y = dim === 1 ? 2 * this.heights[k] - 1 : cloud[2 * k + 1];
        c.beginPath();
        c.arc(frame.x(cloud[k * dim]), frame.y(y), 2.3, 0, 2 * Math.PI);
        c.fill();
        c.stroke();
      }
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.strokeRect(left, top, side, side);
      c.fillStyle = colours.ink;
      c.textAlign = "left";
      c.fillText(title, left, top - 7);
    }

    /** The action nearest to the cursor and its twin, ringed. */
    drawTwin(c, colours) {
      if (!this.cursor || !["first", "second"].includes(this.cursor.frame)) return;
      const near = this.nearest(this.cursor), { dim } = this;
      ["first", "second"].forEach((name, index) => {
        const frame = this.frames.find((f) => f.name === name), cloud = this.clouds[index];
        const y = dim === 1 ? 2 * this.heights[near] - 1 : cloud[2 * near + 1];
        c.strokeStyle = colours.ink;
        c.lineWidth = 2;
        c.beginPath();
        c.arc(frame.x(cloud[near * dim]), frame.y(y), 7, 0, 2 * Math.PI);
        c.stroke();
      });
    }

    /** The drift and the noise of one step beside the side of the box, to scale. */
    drawSteps(c, { left, right, top }, colours) {
      const { drift, noise } = this.seen, room = right - left - 70, box = room * 0.4, unit = box / 2;
      c.fillStyle = colours.ink;
      c.textAlign = "left";
      c.fillText("a step at this noise level, to scale; the bracket is the side of the box", left, top - 8, right - left);
      [["drift", drift], ["noise", noise]].forEach(([name, size], i) => {
        const y = top + 6 + 18 * i, length = Math.min(room, size * unit);
        c.fillStyle = this.look(name).colour;
        c.fillRect(left + 48, y, Math.max(1, length), 9);
        if (size * unit > room) {
          c.beginPath();
          c.moveTo(left + 48 + room, y - 3);
          c.lineTo(left + 48 + room + 10, y + 4.5);
          c.lineTo(left + 48 + room, y + 12);
          c.fill();
        }
        c.fillStyle = colours.ink;
        c.fillText(name, left, y + 9);
        const text = numeral(size), wide = c.measureText(text).width;
        if (size * unit > room - wide) {
          c.fillStyle = colours.surface;
          c.fillText(text, left + 52, y + 8.5);
        } else c.fillText(text, left + 54 + length, y + 9);
      });
      c.strokeStyle = colours.ink;
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(left + 48, top + 40);
      c.lineTo(left + 48, top + 2);
      c.moveTo(left + 48 + box, top + 40);
      c.lineTo(left + 48 + box, top + 2);
      c.stroke();
    }

    /** The softmax of the landscape that a run climbs, as an image. */
    heat(index, colours) {
      const key = [this.key, colours.surface].join();
      if (this.heatKey !== key) {
        this.heatKey = key;
        this.heats = [null, null];
      }
      if (this.heats[index]) return this.heats[index];
      const n = CELLS[2], image = make("canvas", { width: n, height: n }), c = image.getContext("2d");
      const pixels = c.createImageData(n, n), { p } = this.laws[index], high = extent(p)[1];
      const [from, to] = [colours.surface, colours.exact].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          const share = 0.85 * Math.sqrt(p[i * n + j] / high), offset = 4 * ((n - 1 - j) * n + i);
          for (let k = 0; k < 3; k++) pixels.data[offset + k] = from[k] + share * (to[k] - from[k]);
          pixels.data[offset + 3] = 255;
        }
      }
      c.putImageData(pixels, 0, 0);
      this.heats[index] = image;
      return image;
    }
  }

  register("blur", BlurLab);
  window.softqLab.blur = maths;
})();
