/* softq's lab of selection: what the choice of one end point out of several does to the temperature.
 *
 * The class `SelectionLab` of softq/lab/selection.py in the page: its landscapes are sums of one function over the
 * coordinates, and all exact numbers come from the cells of one coordinate and from the law of the regret.
 */
(function () {
  "use strict";

  const { Lab, register, numeral, fixed, tidy } = window.softqLab;
  const { landscape, generator, geometric, reflect, extent } = window.softqKit;
  const { maths } = window.softqSamplers;
  const CELLS = 4000, COLD = 1e-5; // cells of a coordinate, and the cold end of the thermometer
  const SHORT = 560;

  const maths1 = {};

  /** Step sizes [schedule][step]: linear from first steps in geometric progression to one last step. */
  maths1.schedules = function (constants, ends, count, temperature, curvature) {
    const [first, smallest, last] = constants[ends], scale = ends === "printed" ? 1 : (4 * temperature) / curvature;
    return Array.from({ length: count }, (_s, s) => {
      const start = first * Math.pow(smallest / first, s / Math.max(count - 1, 1));
      return Array.from({ length: constants.steps }, (_t, t) => scale * (start + (t / (constants.steps - 1)) * (last - start)));
    });
  };

  /** End points (count * dim) of the chains of `plan` from `start`, with one noise (steps * dim) for all of them. */
  maths1.chains = function (slope, start, noise, plan, temperature) {
    const dim = start.length, ends = new Float64Array(plan.length * dim);
    for (let s = 0; s < plan.length; s++) {
      ends.set(start, s * dim);
      for (let t = 0; t < plan[s].length; t++) {
        const step = plan[s][t], root = Math.sqrt(step);
        for (let i = 0; i < dim; i++) {
          const at = s * dim + i, a = ends[at];
          ends[at] = reflect(a + ((step / 2) * slope(a)) / temperature + root * noise[t * dim + i]);
        }
      }
    }
    return ends;
  };

  /** Value and slope of a landscape of one coordinate; the powers, of which many dimensions are made, without arrays. */
  function coordinate(spec) {
    if (!spec.bumps.length && spec.power[0] === 1 && spec.power[1] === 2) return { value: (x) => -x * x, slope: (x) => -2 * x };
    const one = landscape(spec), a = new Float64Array(1), grad = new Float64Array(1);
    return {
      value: (x) => {
        a[0] = x;
        return one(a, null);
      },
      slope: (x) => {
        a[0] = x;
        one(a, grad);
        return grad[0];
      },
    };
  }

  class SelectionLab extends Lab {
    prepare() {
      this.scenes = {};
      for (const [name, row] of Object.entries(this.data.scenes)) {
        const scene = Object.assign({ name }, coordinate(row.one), row);
        scene.values = Float64Array.from({ length: CELLS }, (_, i) => scene.value(((i + 0.5) * 2) / CELLS - 1));
        scene.top = extent(scene.values)[1];
        if (row.dim > 1) scene.regret = geometric(row.first, row.last, row.mass.length);
        else {
          scene.order = Array.from({ length: CELLS }, (_, i) => i).sort((i, j) => scene.values[j] - scene.values[i] || i - j);
          scene.regret = scene.order.map((i) => scene.top - scene.values[i]);
        }
        this.scenes[name] = scene;
      }
    }

    get scene() {
      return this.scenes[this.settings.landscape];
    }

    get chooses() {
      return !["mala", "isir"].includes(this.settings.rule);
    }

    // Exact numbers

    /** Probabilities of the cells of a coordinate. */
    masses(scene, temperature) {
      const p = new Float64Array(CELLS);
      let sum = 0;
      for (let i = 0; i < CELLS; i++) sum += p[i] = Math.exp((scene.values[i] - scene.top) / temperature);
      for (let i = 0; i < CELLS; i++) p[i] /= sum;
      return p;
    }

    mean(scene, temperature) {
      const p = this.masses(scene, temperature);
      let mean = 0;
      for (let i = 0; i < CELLS; i++) mean += p[i] * scene.values[i];
      return scene.dim * mean;
    }

    /** The temperature whose softmax has this mean of Q, by bisection in its logarithm. */
    temperatureOf(scene, value) {
      const { coldest, hottest } = this.data.constants;
      if (this.mean(scene, coldest) <= value) return coldest;
      if (this.mean(scene, hottest) >= value) return hottest;
      let low = Math.log(coldest), high = Math.log(hottest);
      for (let k = 0; k < 42; k++) {
        const middle = (low + high) / 2;
        if (this.mean(scene, Math.exp(middle)) > value) low = middle;
        else high = middle;
      }
      return Math.exp((low + high) / 2);
    }

    /** Masses of the cells in the order of regret. */
    byRegret(scene, temperature) {
      if (scene.dim === 1) {
        const p = this.masses(scene, temperature);
        return Float64Array.from(scene.order, (i) => p[i]);
      }
      const { regret } = scene, p = Float64Array.from(scene.mass, (m, i) => m * Math.exp(-(regret[i] - regret[0]) / temperature));
      const sum = p.reduce((x, y) => x + y, 0);
      return p.map((x) => x / sum);
    }

    /** Probabilities that the best of `count` draws lies in each of these cells. */
    bestOf(p, count) {
      const out = new Float64Array(p.length);
      let after = 0;
      for (let i = p.length - 1; i >= 0; i--) {
        const tail = after + p[i];
        out[i] = Math.pow(tail, count) - Math.pow(after, count);
        after = tail;
      }
      return out;
    }

    solve() {
      const s = this.settings, { scene } = this, p = this.byRegret(scene, s.temperature), best = this.bestOf(p, s.count);
      let regret = 0;
      for (let i = 0; i < best.length; i++) regret += best[i] * scene.regret[i];
      const mean = scene.dim * scene.top - regret;
      this.exact = {
        mean: this.mean(scene, s.temperature), best: mean, temperature: this.temperatureOf(scene, mean),
        divergence: Math.log(s.count) - (s.count - 1) / s.count,
      };
      this.curves = [
        ["softmax asked for", "exact", this.density(scene, p)],
        ["softmax at \u03bb / S", "colder", this.colder(scene, s.temperature / s.count)],
      ];
      if (s.ends === "perfect" && s.rule === "argmax") {
        this.curves.push(["best of S, exact", "best of S", this.density(scene, best)]);
      }
      if (!this.chooses) this.curves.splice(1, 1);
      this.view = this.reach(scene, p);
      if (scene.dim === 1) {
        let sum = 0;
        this.below = Float64Array.from(this.masses(scene, s.temperature), (mass) => (sum += mass));
      }
    }

    /** A law along the axis of the right panel, as lists of x and y, from masses in the order of regret. */
    density(scene, p) {
      if (scene.dim === 1) {
        const y = new Float64Array(CELLS);
        scene.order.forEach((cell, i) => (y[cell] = (p[i] * CELLS) / 2));
        return { x: Array.from(y, (_, i) => ((i + 0.5) * 2) / CELLS - 1), y: y };
      }
      const x = scene.regret.map(Math.sqrt), ratio = Math.sqrt(x[1] / x[0]);
      return { x: x, y: Array.from(p, (mass, i) => mass / (x[i] * (ratio - 1 / ratio))) };
    }

    /** The softmax at a temperature that may be below those of the tables: in many dimensions without the walls. */
    colder(scene, temperature) {
      const { dim } = scene;
      if (dim === 1 || temperature > 0.1) return this.density(scene, this.byRegret(scene, temperature));
      const far = Math.sqrt(temperature / 2) * (Math.sqrt(dim) + 6), n = 400, middle = Math.sqrt((dim - 1) * temperature / 2);
      const x = Array.from({ length: n }, (_, i) => (far * (i + 0.5)) / n);
      const y = x.map((r) => Math.exp((dim - 1) * Math.log(r / middle) - (r * r - middle * middle) / temperature));
      const sum = y.reduce((a, b) => a + b, 0) * (far / n);
      return { x: x, y: y.map((v) => v / sum) };
    }

    reach(scene, p) {
      if (scene.one.bumps.length) return [-1, 1];
      let sum = 0, i = 0;
      while (i < p.length - 1 && (sum += p[i]) < 0.999) i++;
      const far = scene.one.power[1] === 2 ? Math.sqrt(scene.regret[i]) : scene.regret[i];
      const size = Math.min(1.2 * far, Math.sqrt(scene.dim));
      return scene.dim === 1 ? [-size, size] : [0, size];
    }

    // Draws

    valueAt(a, at) {
      const { dim, value } = this.scene;
      let q = 0;
      for (let i = 0; i < dim; i++) q += value(a[at + i]);
      return q;
    }

    /** Where an action is drawn: itself, or its distance from the summit. */
    position(a, at) {
      const { dim } = this.scene;
      if (dim === 1) return a[at];
      let sum = 0;
      for (let i = 0; i < dim; i++) sum += a[at + i] * a[at + i];
      return Math.sqrt(sum);
    }

    gumbel() {
      return -Math.log(-Math.log(this.rng.uniform()));
    }

    /** One of `count` uniform candidates, drawn by weight; the first may be a given action instead. */
    resample(kept) {
      const { dim, value } = this.scene, { temperature } = this.settings, { uniform } = this.rng;
      const { candidates } = this.data.constants, best = new Float64Array(dim), a = new Float64Array(dim);
      let top = -Infinity;
      for (let c = 0; c < candidates; c++) {
        let q = 0;
        for (let i = 0; i < dim; i++) q += value((a[i] = kept && c === 0 ? kept[i] : 2 * uniform() - 1));
        const score = q / temperature + this.gumbel();
        if (score <= top) continue;
        top = score;
        best.set(a);
      }
      return best;
    }

    /** A draw from the softmax of a coordinate: a cell by bisection in the distribution function, a place in it. */
    perfect() {
      const { scene, rng } = this, { temperature } = this.settings;
      if (scene.name.startsWith("quad") && temperature < 0.31) {
        let a = 2; // a normal number that lies in the box
        while (Math.abs(a) > 1) a = Math.sqrt(temperature / 2) * rng.normal();
        return a;
      }
      const u = rng.uniform() * this.below[CELLS - 1];
      let low = 0, high = CELLS - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.below[middle] < u) low = middle + 1;
        else high = middle;
      }
      return ((low + rng.uniform()) * 2) / CELLS - 1;
    }

    mala(start) {
      const { scene, rng } = this, { temperature } = this.settings, { mala, steps } = this.data.constants;
      const step = Math.min((mala * 4 * temperature) / scene.curvature, 1), root = Math.sqrt(step);
      const point = (a) => ({ a: a, value: this.valueAt(a, 0), slope: a.map(scene.slope) });
      const propose = ({ a, slope }) =>
        point(a.map((x, i) => reflect(x + ((step / 2) * slope[i]) / temperature + root * rng.normal())));
      let here = point(start);
      for (let t = 0; t < steps; t++) {
        const there = propose(here);
        if (Math.log(rng.uniform()) < maths.logAcceptance(here, there, temperature, step)) here = there;
      }
      return here.a;
    }

    /** One draw: its end points in `this.ends`, and which of them is kept in `this.kept`. */
    draw1() {
      const s = this.settings, { scene, rng } = this, { dim } = scene, { constants } = this.data;
      if (s.rule === "mala") this.ends = this.mala(this.resample(null));
      else if (s.rule === "isir") {
        this.ends = this.resample(null);
        for (let t = 1; t < constants.sweeps; t++) this.ends = this.resample(this.ends);
      } else if (s.ends === "perfect") {
        this.ends = Float64Array.from({ length: s.count * dim }, () => this.perfect());
      } else {
        const noise = new Float64Array(constants.steps * dim), start = this.resample(null);
        for (let i = 0; i < noise.length; i++) noise[i] = rng.normal();
        this.ends = maths1.chains(scene.slope, start, noise, this.plan, s.temperature);
      }
      this.kept = 0;
      const count = this.ends.length / dim;
      if (s.rule === "random") this.kept = Math.floor(count * rng.uniform());
      else if (count > 1) {
        let top = -Infinity;
        for (let k = 0; k < count; k++) {
          const score = this.valueAt(this.ends, k * dim) / s.temperature + (s.rule === "weight" ? this.gumbel() : 0);
          if (score > top) [top, this.kept] = [score, k];
        }
      }
      const x = this.position(this.ends, this.kept * dim), { bins } = constants, [low, high] = this.view;
      const bin = Math.floor((bins * (x - low)) / (high - low));
      this.counts[Math.min(bins - 1, Math.max(0, bin))] += 1;
      this.total += this.valueAt(this.ends, this.kept * dim);
      this.taken += 1;
    }

    restart() {
      const s = this.settings;
      this.halt();
      this.rng = generator(s.seed);
      this.solve();
      if (s.ends !== "perfect") {
        this.plan = maths1.schedules(this.data.constants, s.ends, s.count, s.temperature, this.scene.curvature);
      }
      this.counts = new Float64Array(this.data.constants.bins);
      this.total = this.taken = 0;
    }

    start() {
      this.changed();
      this.refresh();
    }

    restore() {
      Object.assign(this.settings, this.opened);
      this.changed();
      this.refresh();
      this.writeAddress();
    }

    changed(_name) {
      this.restart();
      for (let k = 0; k < this.settings.draws; k++) this.draw1();
    }

    get above() {
      return ["landscape", "ends", "rule"];
    }

    actions() {
      return [
        ["run", "Watch", () => (this.running ? this.pause() : this.watch())],
        ["step", "One more draw", () => {
          this.pause();
          this.draw1();
          this.refresh();
        }],
        ["reset", "Reset", () => this.restore()],
      ];
    }

    /** Begin again, and let the draws come one after the other. */
    watch() {
      this.restart();
      this.draw1();
      if (this.still) {
        while (this.taken < this.settings.draws) this.draw1();
        this.refresh();
        return;
      }
      this.buttons.run.textContent = "Pause";
      window.requestAnimationFrame(this.loop(() => {
        const more = Math.max(1, Math.ceil(this.taken / 40)), until = window.performance.now() + 12;
        for (let k = 0; k < more && this.taken < this.settings.draws && window.performance.now() < until; k++) this.draw1();
        this.refresh();
        if (this.taken < this.settings.draws) return true;
        this.buttons.run.textContent = "Watch";
        return false;
      }));
    }

    pause() {
      this.halt();
      this.buttons.run.textContent = "Watch";
      this.refresh();
    }

    // What is said

    refresh() {
      const s = this.settings, mean = this.total / this.taken;
      this.got = { mean: mean, temperature: this.temperatureOf(this.scene, mean) };
      for (const name of ["count", "ends"]) this.hideControl(name, !this.chooses);
      this.showControls();
      const perfect = s.rule === "argmax" && s.ends === "perfect";
      const rows = [
        ["Draws", String(this.taken)],
        ["Temperature asked", numeral(s.temperature)],
        ["Temperature got", numeral(this.got.temperature) + " (" + numeral((100 * this.got.temperature) / s.temperature) + " %)"],
        ["Mean of Q", fixed(mean, 4) + " (softmax " + fixed(this.exact.mean, 4) + ")"],
      ];
      if (perfect) rows.push(["Temperature of the best of S, exact", numeral(this.exact.temperature)]);
      if (perfect) rows.push(["Its KL divergence", fixed(this.exact.divergence, 2) + " nats, in every dimension"]);
      if (!this.running) {
        this.showRows(rows);
        this.describe(this.scene.text + ", temperature asked " + tidy(s.temperature) + ", got " +
          tidy(this.got.temperature) + ", from " + this.taken + " draws" + (this.chooses ? " of " + s.count + " end points." : "."));
      } else if (this.taken % 5 === 0) this.showRows(rows);
      this.redraw();
    }

    report() {
      return { settings: this.settings, exact: this.exact, got: this.got, taken: this.taken, counts: Array.from(this.counts) };
    }

    get points() {
      return true;
    }

    onPointer(event) {
      if (event.frame === "gauge" && (event.type === "click" || event.type === "drag")) {
        this.set("temperature", Number(tidy(event.x)));
      } else this.redraw();
    }

    hover(cursor) {
      if (cursor.frame === "gauge") return "temperature " + numeral(cursor.x) + "; a click asks for it";
      const what = this.scene.dim === 1 ? "action " : "distance ";
      if (cursor.frame === "ends") return what + fixed(cursor.x, 2) + ": Q " + fixed(this.profile(cursor.x), 3);
      return what + fixed(cursor.x, 3) + ", density " + numeral(cursor.y);
    }

    /** Q along the axis of the left panel. */
    profile(x) {
      return this.scene.value(x);
    }

    // Drawing

    height(width) {
      return (width < SHORT ? 2 : 1) * Math.round(Math.min(290, width * 0.62)) + 74;
    }

    draw(c, width, height, colours) {
      if (!this.ends) return;
      const narrow = width < SHORT, each = Math.round(Math.min(290, width * 0.62));
      const half = narrow ? width : width / 2;
      this.drawEnds(c, { left: 0, top: 0, width: half, height: each }, colours);
      this.drawLaws(c, { left: narrow ? 0 : half, top: narrow ? each : 0, width: half, height: each }, colours);
      this.drawGauge(c, { left: 14, right: width - 14, top: height - 56, bottom: height - 24 }, colours);
      this.drawCursor(c, colours);
    }

    axes(c, name, box, xlim, ylim, title, colours) {
      const left = box.left + 12, right = box.left + box.width - 12, top = box.top + 24, bottom = box.top + box.height - 36;
      const frame = this.frame(name, { left, right, top, bottom }, xlim, ylim);
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.strokeRect(left, top, right - left, bottom - top);
      c.fillStyle = colours.ink;
      c.textAlign = "left";
      c.fillText(title, left, top - 8);
      c.fillStyle = colours.quiet;
      [0, 0.5, 1].forEach((u) => {
        c.textAlign = ["left", "center", "right"][2 * u];
        c.fillText(numeral(xlim[0] + u * (xlim[1] - xlim[0])), left + u * (right - left), bottom + 14);
      });
      c.textAlign = "center";
      c.fillText(this.scene.dim === 1 ? "action" : "distance from the summit", (left + right) / 2, bottom + 29);
      c.textAlign = "left";
      return frame;
    }

    drawEnds(c, box, colours) {
      const { scene, ends, kept } = this, { dim } = scene, count = ends.length / dim;
      let far = this.view[1];
      for (let k = 0; k < count; k++) far = Math.max(far, 1.3 * Math.abs(this.position(ends, k * dim)));
      if (dim === 1) far = Math.min(far, 1);
      const xlim = dim === 1 ? [-far, far] : [0, far], n = 240, x = (i) => xlim[0] + ((xlim[1] - xlim[0]) * i) / n;
      const values = Array.from({ length: n + 1 }, (_, i) => this.profile(x(i))), [low, high] = extent(values);
      const pad = 0.12 * (high - low);
      const title = this.chooses ? "one draw: " + count + " end points, the ring is kept" : "one draw";
      const frame = this.axes(c, "ends", box, xlim, [low - pad / 3, high + pad], title, colours);
      c.strokeStyle = colours.ink;
      c.lineWidth = 2;
      c.beginPath();
      values.forEach((v, i) => (i ? c.lineTo(frame.x(x(i)), frame.y(v)) : c.moveTo(frame.x(x(i)), frame.y(v))));
      c.stroke();
      const at = (k) => [frame.x(this.position(ends, k * dim)), frame.y(this.valueAt(ends, k * dim))];
      c.fillStyle = colours.sample;
      c.globalAlpha = 0.65;
      for (let k = 0; k < count; k++) {
        c.beginPath();
        c.arc(...at(k), 4, 0, 2 * Math.PI);
        c.fill();
      }
      c.globalAlpha = 1;
      c.strokeStyle = colours.exact;
      c.lineWidth = 2.5;
      c.beginPath();
      c.arc(...at(kept), 8, 0, 2 * Math.PI);
      c.stroke();
    }

    drawLaws(c, box, colours) {
      const [low, high] = this.view, { bins } = this.data.constants, wide = (high - low) / bins;
      const bar = (count) => count / this.taken / wide, peak = extent(this.curves[0][2].y)[1];
      const top = 1.1 * Math.max(peak, Math.min(40 * peak, bar(extent(this.counts)[1])));
      const frame = this.axes(c, "laws", box, [low, high], [0, top], "all draws", colours);
      this.within(c, frame, () => {
        c.fillStyle = colours.sample;
        c.globalAlpha = 0.5;
        this.counts.forEach((count, b) => {
          const from = frame.x(low + b * wide), to = frame.x(low + (b + 1) * wide), level = frame.y(bar(count));
          c.fillRect(from + 0.3, level, to - from - 0.6, frame.bottom - level);
        });
        c.globalAlpha = 1;
        for (const [, concept, { x, y }] of this.curves) {
          const { colour, dash } = this.look(concept);
          c.strokeStyle = colour;
          c.setLineDash(dash);
          c.lineWidth = 2;
          c.beginPath();
          for (let i = 0; i < x.length; i += x.length > 1000 ? 2 : 1) c.lineTo(frame.x(x[i]), frame.y(y[i]));
          c.stroke();
        }
        c.setLineDash([]);
      });
      const entries = [["chosen", null], ...this.curves];
      entries.forEach(([label, concept], i) => {
        const { colour, dash } = concept ? this.look(concept) : { colour: colours.sample, dash: [] };
        const ly = frame.top + 14 + 15 * i, width = c.measureText(label).width;
        const lx = this.scene.one.bumps.length ? frame.left + 36 : frame.right - 8 - width;
        c.strokeStyle = colour;
        c.lineWidth = concept ? 2 : 7;
        c.setLineDash(dash);
        c.beginPath();
        c.moveTo(lx - 26, ly - 4);
        c.lineTo(lx - 6, ly - 4);
        c.stroke();
        c.setLineDash([]);
        c.fillStyle = colours.ink;
        c.fillText(label, lx, ly);
      });
    }

    /** The thermometer: the temperature asked for, the one got, and that of S-fold cooling. */
    drawGauge(c, box, colours) {
      const s = this.settings, frame = this.frame("gauge", box, [COLD, 1], [0, 1], [true, false]);
      c.strokeStyle = colours.quiet;
      c.lineWidth = 1;
      c.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
      const inside = (t) => frame.x(Math.min(1, Math.max(COLD, t)));
      const [asked, got] = [inside(s.temperature), inside(this.got.temperature)];
      c.fillStyle = colours.sample;
      c.globalAlpha = 0.25;
      c.fillRect(Math.min(asked, got), box.top + 1, Math.abs(asked - got), box.bottom - box.top - 2);
      c.globalAlpha = 1;
      c.fillStyle = colours.quiet;
      const every = box.right - box.left < 480 ? 2 : 1;
      for (let k = -5; k <= 0; k += every) {
        c.textAlign = k === -5 ? "left" : k === 0 ? "right" : "center";
        c.fillText(numeral(Math.pow(10, k)), frame.x(Math.pow(10, k)), box.bottom + 15);
      }
      const needle = (px, look, text, above) => {
        const { colour, dash } = this.look(look);
        c.strokeStyle = colour;
        c.lineWidth = 3;
        c.setLineDash(dash);
        c.beginPath();
        c.moveTo(px, box.top - (above ? 6 : 0));
        c.lineTo(px, box.bottom + (above ? 0 : 3));
        c.stroke();
        c.setLineDash([]);
        c.fillStyle = colours.ink;
        const wide = c.measureText(text).width, beside = px - wide - 6 > box.left ? px - wide - 6 : px + 6;
        const over = Math.min(box.right - wide, Math.max(box.left, px - wide / 2));
        c.textAlign = "left";
        if (above) c.fillText(text, over, box.top - 9);
        else c.fillText(text, beside, box.top + 20);
      };
      if (this.chooses && s.count > 1) needle(inside(s.temperature / s.count), "colder", "\u03bb/S", false);
      needle(asked, "exact", "asked", true);
      const near = Math.abs(asked - got) < 44;
      needle(got, "samples", "got", !near);
      c.textAlign = "left";
    }
  }

  register("selection", SelectionLab);
  window.softqLab.selection = maths1;
})();
