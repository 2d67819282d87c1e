/* softq's lab of SAC's actor on two hills: the class `ActorLab` of softq/lab/actor.py in the page.
 *
 * The actor is a = tanh(mean + std * z), and its loss E[log p(a) - Q(a) / temperature] is a sum over nodes of z, with the
 * same nodes and the same steps downhill as in Python.
 */
(function () {
  "use strict";

  const { CurveLab, register, numeral } = window.softqLab;
  const { landscape, grid, softmax, geometric } = window.softqKit;
  const { erf } = window.softqSamplers.maths;
  const NODES = 161, FAR = 6;
  const NARROW = 560; // below this width the panels stand below one another

  /** log(1 - tanh(u)^2). */
  function logOneMinus(u) {
    const size = Math.abs(u);
    return 2 * (Math.LN2 - size - Math.log1p(Math.exp(-2 * size)));
  }

  class ActorLab extends CurveLab {
    prepare() {
      this.z = Array.from({ length: NODES }, (_, i) => -FAR + (2 * FAR * i) / (NODES - 1));
      const raw = this.z.map((z) => Math.exp(-(z * z) / 2)), sum = raw.reduce((a, b) => a + b, 0);
      this.node = raw.map((w) => w / sum);
      this.logNormal = -this.node.reduce((a, w, i) => a + (w * this.z[i] ** 2) / 2, 0) - Math.log(2 * Math.PI) / 2;
      const bumps = this.data.hills.map(([h, c, w]) => [h, [c], w]);
      this.table = grid(landscape({ dim: 1, bumps: bumps }), 1, 4000);
      this.journeys = new Map();
      this.restsAt = new Map();
      this.tabulate();
    }

    limits() {
      return [this.spec("mean"), this.spec("log_std")].map((spec) => [spec.low, spec.high]);
    }

    // The loss

    hill(a) {
      let value = 0, slope = 0;
      for (const [height, centre, width] of this.data.hills) {
        const t = (a - centre) / width, one = height * Math.exp(-(t * t) / 2);
        value += one;
        slope -= (one * (a - centre)) / (width * width);
      }
      return [value, slope];
    }

    /** E[log p] and E[Q] of an actor. */
    parts([mean, logStd]) {
      const std = Math.exp(logStd);
      let bend = 0, value = 0;
      for (let i = 0; i < NODES; i++) {
        const u = mean + std * this.z[i];
        bend += this.node[i] * logOneMinus(u);
        value += this.node[i] * this.hill(Math.tanh(u))[0];
      }
      return [this.logNormal - logStd - bend, value];
    }

    loss(law, temperature) {
      const [logP, value] = this.parts(law);
      return logP - value / temperature;
    }

    /** The loss's derivatives by mean and log std, on the landscape times `growth`. */
    slopes([mean, logStd], temperature, growth) {
      const std = Math.exp(logStd);
      let first = 0, second = -1;
      for (let i = 0; i < NODES; i++) {
        const a = Math.tanh(mean + std * this.z[i]);
        const each = this.node[i] * (2 * a - (growth / temperature) * this.hill(a)[1] * (1 - a * a));
        first += each;
        second += each * std * this.z[i];
      }
      return [first, second];
    }

    inside(law) {
      return this.limits().map(([low, high], k) => Math.min(high, Math.max(low, law[k])));
    }

    /** Adam's way from a start: mean and log std after each update. */
    descend(start, temperature, grow) {
      const { updates } = this.data.counts, path = [start], first = [0, 0], second = [0, 0];
      for (let k = 0; k < updates; k++) {
        const law = path[k], g = this.slopes(law, temperature, grow ? Math.min(1, (2 * k) / updates) : 1);
        path.push(this.inside(law.map((v, i) => {
          first[i] = 0.9 * first[i] + 0.1 * g[i];
          second[i] = 0.999 * second[i] + 0.001 * g[i] * g[i];
          const size = Math.sqrt(second[i] / (1 - 0.999 ** (k + 1))) + 1e-8;
          return v - (this.data.rate * (1 - k / updates) * first[i]) / (1 - 0.9 ** (k + 1)) / size;
        })));
      }
      return path;
    }

    /** The law after steps downhill that are measured in the actor's own spread: it ends at the next minimum. */
    settle(law, temperature, steps) {
      let height = this.loss(law, temperature);
      for (let k = 0; k < steps; k++) {
        const g = this.slopes(law, temperature, 1);
        let move = [-0.5 * Math.exp(2 * law[1]) * g[0], -0.25 * g[1]].map((v) => Math.min(0.3, Math.max(-0.3, v)));
        if (Math.max(...move.map(Math.abs)) < 1e-6) break;
        let moved = law, found = height;
        for (let tries = 0; tries < 8; tries++) { // a step that is too long is halved
          moved = this.inside([law[0] + move[0], law[1] + move[1]]);
          found = this.loss(moved, temperature);
          if (found < height) break;
          move = move.map((v) => v / 2);
        }
        if (found >= height) break;
        [law, height] = [moved, found];
      }
      return law;
    }

    /** The temperature after `k` turns: up to the warm end and back to the cold one. */
    warmth(temperature, k) {
      const half = Math.floor(this.data.counts.turns / 2), { cold, warm } = this.data.ends;
      if (k <= half) return temperature * (warm / temperature) ** (k / half);
      return warm * (cold / warm) ** ((k - half) / half);
    }

    journey(s) {
      const key = [s.mean, s.log_std, s.temperature, s.grow].join(" ");
      if (!this.journeys.has(key)) {
        if (this.journeys.size > 50) this.journeys.clear();
        this.journeys.set(key, { trained: this.descend([s.mean, s.log_std], s.temperature, s.grow), followed: null });
      }
      const found = this.journeys.get(key);
      if (s.turns && !found.followed) {
        const { trained } = found, { turns } = this.data.counts;
        found.followed = [this.settle(trained[trained.length - 1], s.temperature, 40)];
        for (let k = 1; k <= turns; k++) {
          found.followed.push(this.settle(found.followed[k - 1], this.warmth(s.temperature, k), 40));
        }
      }
      return found;
    }

    right([mean, logStd]) {
      return (1 + erf(mean / Math.exp(logStd) / Math.SQRT2)) / 2;
    }

    /** The minima of the loss by name, as far as they exist. */
    minima(temperature) {
      if (!this.restsAt.has(temperature)) {
        const found = {};
        for (const [name, start] of Object.entries(this.data.starts)) {
          const law = this.settle(start, temperature, 200), share = this.right(law);
          const kind = share > 0.9 ? "right hill" : share < 0.1 ? "left hill" : "average";
          if (kind === name) found[name] = law;
        }
        this.restsAt.set(temperature, found);
      }
      return this.restsAt.get(temperature);
    }

    /** E[log p] and E[Q] over the map. */
    tabulate() {
      const [columns, rows] = this.data.counts.shape, [means, stds] = this.limits();
      this.map = { logP: new Float64Array(columns * rows), value: new Float64Array(columns * rows) };
      for (let j = 0; j < rows; j++) {
        for (let i = 0; i < columns; i++) {
          const law = [[means, i, columns], [stds, j, rows]].map(([[low, high], k, n]) => low + ((high - low) * k) / (n - 1));
          [this.map.logP[j * columns + i], this.map.value[j * columns + i]] = this.parts(law);
        }
      }
    }

    // The picture

    view(s) {
      const { trained, followed } = this.journey(s), now = s.turns ? this.warmth(s.temperature, s.turns) : s.temperature;
      const way = s.turns ? [...trained, ...followed.slice(0, s.turns + 1)] : trained.slice(0, s.updates + 1);
      const law = way[way.length - 1], exact = softmax(this.table, now), [logP, value] = this.parts(law);
      const found = this.minima(now), { cells } = this.data.counts, [means, stds] = this.limits();
      this.now = { temperature: now, logPartition: exact.logPartition };
      const xs = Array.from({ length: cells }, (_, i) => (i + 0.5) / (cells / 2) - 1), each = exact.p.length / cells;
      const density = xs.map((a) => {
        const u = Math.atanh(a), t = (u - law[0]) / Math.exp(law[1]);
        return Math.exp(-(t * t) / 2 - law[1] - logOneMinus(u)) / Math.sqrt(2 * Math.PI);
      });
      const soft = xs.map((_, i) => {
        let sum = 0;
        for (let k = i * each; k < (i + 1) * each; k++) sum += exact.p[k];
        return (sum * cells) / 2;
      });
      const { cold, warm } = this.data.ends, times = geometric(cold, warm, 41);
      if (!this.softShares) this.softShares = times.map((t) => this.rightOf(softmax(this.table, t)));
      const shares = [{ x: times, y: this.softShares, label: "softmax", look: "exact" }];
      Object.values(this.data.branches).forEach((rows, i) => shares.push({
        x: rows.map((row) => row[0]), y: rows.map((row) => row[1]), label: i ? "" : "minima of the loss", look: "maximum",
      }));
      if (s.turns) {
        const t = Array.from({ length: s.turns + 1 }, (_, k) => this.warmth(s.temperature, k));
        const y = way.slice(-t.length).map((one) => this.right(one));
        shares.push({ x: t, y: y, label: "way of the actor", look: "iterates" });
      }
      const share = this.right(law), kl = logP - value / now + exact.logPartition;
      const numbers = {
        "temperature now": now, "right hill, actor": share, "right hill, softmax": this.rightOf(exact),
        "KL to the softmax": kl, "price \u03bb KL": now * kl, "mean Q, actor": value, "mean Q, softmax": exact.mean,
      };
      for (const [name, one] of Object.entries(found)) numbers["KL, " + name] = this.loss(one, now) + exact.logPartition;
      return {
        panels: [
          {
            xlabel: "mean before tanh", ylabel: "log std", xlim: means, ylim: stds,
            curves: [{ x: way.map((one) => one[0]), y: way.map((one) => one[1]), label: "way of the actor", look: "iterates" }],
            points: [...Object.values(found).map((one) => [...one, "landscape"]), [...law, "samples"]],
          },
          {
            xlabel: "action", ylabel: "density", xlim: [-1, 1], ylim: [0, 8],
            curves: [
              { x: xs, y: soft, label: "softmax", look: "exact" }, { x: xs, y: density, label: "actor", look: "samples" },
            ],
          },
          {
            xlabel: "temperature \u03bb", ylabel: "mass on the right hill", log: [true, false], xlim: [cold, warm],
            ylim: [-0.05, 1.05], sets: "temperature", curves: shares, points: [[now, share, "samples"]],
          },
        ],
        numbers: numbers,
      };
    }

    rightOf(law) {
      let sum = 0;
      for (let i = law.p.length / 2; i < law.p.length; i++) sum += law.p[i];
      return sum;
    }

    height(width) {
      return width < NARROW ? super.height(width) : super.height(width) + 90;
    }

    /** The map has the whole width, and as much height as the two panels below it. */
    draw(c, width, height, colours) {
      if (width < NARROW) {
        super.draw(c, width, height, colours);
        return;
      }
      const half = height / 2, { panels } = this.shown;
      panels.forEach((panel, i) => {
        const box = { left: i === 2 ? width / 2 : 0, top: i ? half : 0, width: i ? width / 2 : width, height: half };
        this.drawPanel(c, panel, String(i), box, colours);
      });
      if (this.cursor && this.panelAt(this.cursor)) this.drawCursor(c, colours);
    }

    /** The loss as a map under the way of the actor: the darker, the nearer to the softmax. */
    drawPanel(c, panel, name, box, colours) {
      super.drawPanel(c, panel, name, box, colours);
      if (name !== "0") return;
      const [frame] = this.frames, [columns, rows] = this.data.counts.shape;
      const image = new ImageData(columns, rows), { temperature, logPartition } = this.now;
      const [red, green, blue] = channels(colours.exact), [low, high] = this.data.levels.map(Math.log);
      for (let j = 0; j < rows; j++) {
        for (let i = 0; i < columns; i++) {
          const k = j * columns + i, kl = this.map.logP[k] - this.map.value[k] / temperature + logPartition;
          const level = Math.min(1, Math.max(0, (Math.log(Math.max(kl, 1e-9)) - low) / (high - low)));
          image.data.set([red, green, blue, Math.round(200 * (1 - level))], 4 * ((rows - 1 - j) * columns + i));
        }
      }
      const picture = document.createElement("canvas");
      [picture.width, picture.height] = [columns, rows];
      picture.getContext("2d").putImageData(image, 0, 0);
      c.save();
      c.globalCompositeOperation = "destination-over";
      c.drawImage(picture, frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top);
      c.restore();
    }

    handles() {
      const s = this.settings, text = "mean " + numeral(s.mean) + ", log std " + numeral(s.log_std);
      return [{ name: "start", label: "Start of the training", frame: "0", x: s.mean, y: s.log_std, text: text }];
    }

    onHandle(_name, x, y) {
      this.begins(x, y);
    }

    onPointer(event) {
      if (event.frame === "0" && event.type === "click") this.begins(event.x, event.y);
      else super.onPointer(event);
    }

    begins(mean, logStd) {
      this.halt();
      this.settings.mean = Number(mean.toPrecision(3));
      this.settings.turns = 0;
      this.set("log_std", Number(logStd.toPrecision(3)));
    }

    hover(cursor) {
      if (cursor.frame !== "0") return super.hover(cursor);
      const { temperature, logPartition } = this.now, kl = this.loss([cursor.x, cursor.y], temperature) + logPartition;
      return "mean " + numeral(cursor.x) + ", log std " + numeral(cursor.y) + ": KL to the softmax " + numeral(kl);
    }

    actions() {
      return [
        ["train", "Train", () => this.play("updates", 4, () => (this.settings.turns = 0))],
        ["turn", "Warm up and cool down", () => this.play("turns", 1, () => (this.settings.updates = this.data.counts.updates))],
        ["reset", "Reset", () => this.restore()],
      ];
    }

    /** Move a setting from its lower to its upper end; at once, where motion is not wanted. */
    play(name, step, first) {
      const { high } = this.spec(name);
      first();
      this.settings[name] = this.still ? high : 0;
      const next = this.loop(() => {
        this.settings[name] = Math.min(high, this.settings[name] + step);
        this.refresh();
        if (this.settings[name] < high) return true;
        this.writeAddress();
        return false;
      });
      window.requestAnimationFrame(next);
    }

    changed() {
      this.halt();
    }
  }

  /** Red, green and blue of a colour "#rrggbb" or "rgb(...)". */
  function channels(colour) {
    if (colour.startsWith("#")) return [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
    return colour.match(/\d+/g).slice(0, 3).map(Number);
  }

  register("actor", ActorLab);
})();
