/* softq's lab of the candidates: one resampling seen from near, the sweeps after it, and the law of the survivor.
 *
 * The class `CandidatesLab` of softq/lab/candidates.py in the page.
 */
(function () {
  "use strict";

  const { Lab, register, fixed, tidy } = window.softqLab;
  const { landscape, generator, resampling } = window.softqKit;
  const BATCH = 25; // draws of one frame of the animation

  class CandidatesLab extends Lab {
    prepare() {
      const { nodes } = this.data;
      this.tables = {};
      for (const [name, spec] of Object.entries(this.data.landscapes)) {
        const q = landscape(spec), values = new Float64Array(nodes);
        for (let i = 0; i < nodes; i++) values[i] = q([((i + 0.5) * 2) / nodes - 1]);
        this.tables[name] = { values: values, low: Math.min(...values), high: Math.max(...values) };
      }
    }

    start() {
      this.changed("seed");
      this.refresh();
    }

    get table() {
      return this.tables[this.settings.landscape];
    }

    /** The node next to an action; candidates lie on nodes, so that the exact law is exactly theirs. */
    nodeOf(a) {
      const n = this.data.nodes;
      return Math.min(n - 1, Math.max(0, Math.floor(((a + 1) * n) / 2)));
    }

    action(node) {
      return ((node + 0.5) * 2) / this.data.nodes - 1;
    }

    cellOf(node) {
      return Math.floor((node * this.data.cells) / this.data.nodes);
    }

    changed(name) {
      if (name !== "sweeps" || this.settings.sweeps < this.taken) this.restart();
      while (this.taken < this.settings.sweeps) this.sweep();
      this.solve();
    }

    /** New candidates for as many survivors as at the start. */
    restart() {
      this.halt();
      this.weigh();
      this.rng = generator(this.settings.seed);
      this.kept = [];
      this.taken = 0;
      this.note = "";
      this.resample(this.data.draws);
    }

    /** Resample m candidates, of which the last is `current` if there is one. Returns the survivor. */
    compete(current) {
      const m = this.settings.num_candidates, { rng } = this, pool = new Int32Array(m), n = this.data.nodes;
      for (let i = 0; i < m; i++) pool[i] = Math.floor(rng.uniform() * n);
      if (current !== undefined) pool[m - 1] = current;
      return this.choose(pool, current !== undefined);
    }

    /** Let one of the candidates survive, by weight: this is the pool that is shown. */
    choose(nodes, again) {
      const { w } = this.law;
      let total = 0, chosen = 0;
      for (let i = 0; i < nodes.length; i++) total += w[nodes[i]];
      let left = this.rng.uniform() * total - w[nodes[0]];
      while (left >= 0 && chosen < nodes.length - 1) left -= w[nodes[++chosen]];
      this.pool = { nodes: nodes, total: total, chosen: chosen, again: again };
      return nodes[chosen];
    }

    /** The share of the weight of a candidate of the pool. */
    share(i) {
      return this.law.w[this.pool.nodes[i]] / this.pool.total;
    }

    /** `count` more survivors, each after as many sweeps as the others. */
    resample(count) {
      for (let i = 0; i < count; i++) {
        let node = this.compete();
        for (let k = 0; k < this.taken; k++) node = this.compete(node);
        this.kept.push(node);
      }
    }

    /** Each survivor competes with fresh candidates. */
    sweep() {
      for (let i = 0; i < this.kept.length; i++) this.kept[i] = this.compete(this.kept[i]);
      this.taken += 1;
    }

    /** The weights of the nodes. */
    weigh() {
      const s = this.settings, { values, high } = this.table, n = values.length, key = s.landscape + "," + s.temperature;
      if (this.key === key) return;
      this.key = key;
      let sum = 0;
      for (let i = 0; i < n; i++) sum += Math.exp((values[i] - high) / s.temperature);
      const shift = Math.log(n) - Math.log(sum);
      const logW = values.map((v) => Math.max((v - high) / s.temperature + shift, -80));
      this.law = resampling(logW, new Float64Array(n).fill(1 / n), 0.5);
    }

    /** The exact laws, of the softmax and of the survivor after the last sweep, and the numbers. */
    solve() {
      const s = this.settings, { values } = this.table, n = values.length, { law } = this, m = s.num_candidates;
      const softmax = new Float64Array(this.data.cells), last = new Float64Array(this.data.cells);
      let f = law.ratio(m), tv = 0, mean = 0, best = 0;
      for (let k = 0; k < s.sweeps; k++) f = law.sweep(m, f);
      for (let i = 0; i < n; i++) {
        const p = law.w[i] / n;
        tv += 0.5 * p * Math.abs(f[i] - 1);
        mean += p * f[i] * values[i];
        best += p * values[i];
        softmax[this.cellOf(i)] += p;
        last[this.cellOf(i)] += p * f[i];
      }
      this.cells = { softmax: softmax, last: last };
      this.numbers = {
        "total variation": tv, "mean value": mean, "mean value of the softmax": best,
        "effective sample size": m / (1 + law.variance),
      };
    }

    /** The survivors on the cells of the picture, their distance to the softmax there, and what it is for exact draws. */
    measure() {
      const { softmax, last } = this.cells, count = this.kept.length, drawn = new Float64Array(softmax.length);
      for (const node of this.kept) drawn[this.cellOf(node)] += 1 / count;
      let tv = 0, floor = 0, exact = 0;
      for (let i = 0; i < drawn.length; i++) {
        tv += 0.5 * Math.abs(drawn[i] - softmax[i]);
        exact += 0.5 * Math.abs(last[i] - softmax[i]);
        floor += Math.sqrt((softmax[i] * (1 - softmax[i])) / (2 * Math.PI * count));
      }
      this.seen = { drawn: drawn, tv: tv, exact: exact, floor: floor };
    }

    // Buttons

    actions() {
      return [
        ["draw", "Draw", () => this.more(1)],
        ["many", "Draw 500", () => this.more(500)],
        ["sweep", "Sweep", () => this.set("sweeps", this.settings.sweeps + 1)],
        ["reset", "Reset", () => this.restore()],
      ];
    }

    more(count) {
      this.halt();
      this.note = "";
      if (this.still || count === 1) {
        this.resample(count);
        this.refresh();
        return;
      }
      let left = count;
      const next = this.loop(() => {
        this.resample(Math.min(BATCH, left));
        left -= BATCH;
        this.refresh();
        return left > 0;
      });
      window.requestAnimationFrame(next);
    }

    // Pointer: words everywhere, and a candidate of the reader's on the landscape

    get points() {
      return true;
    }

    onPointer(event) {
      if (event.type === "click" && event.frame === "pool") this.place(event.x);
      else this.redraw();
    }

    /** One of the candidates is where the reader wants it; the pool is resampled, and not counted. */
    place(x) {
      this.halt();
      const nodes = Int32Array.from(this.pool.nodes);
      nodes[0] = this.nodeOf(x);
      this.choose(nodes, this.pool.again);
      this.note = `Your candidate at ${fixed(x, 2)} had ${percent(this.share(0))} of the weight and ` +
        (this.pool.chosen === 0 ? "survived." : "did not survive.");
      this.refresh();
    }

    hover(cursor) {
      const node = this.nodeOf(cursor.x), i = this.cellOf(node), { cells, seen } = this;
      return `Action ${fixed(cursor.x, 2)}: Q ${fixed(this.table.values[node], 2)}, weight W ${tidy(this.law.w[node])}. ` +
        `Cell: softmax ${percent(cells.softmax[i])}, survivor ${percent(cells.last[i])}, drawn ${percent(seen.drawn[i])}.`;
    }

    // Pictures

    refresh() {
      this.measure();
      const { numbers, seen, pool } = this, two = (v) => fixed(v, 2);
      let squares = 0;
      for (let i = 0; i < pool.nodes.length; i++) squares += this.share(i) * this.share(i);
      this.showControls();
      this.buttons.sweep.disabled = this.settings.sweeps >= this.spec("sweeps").high;
      this.showRows([
        ["Total variation, exact", fixed(numbers["total variation"], 3)],
        ["In these cells", two(seen.exact) + ", drawn " + two(seen.tv) + " (chance " + two(seen.floor) + ")"],
        ["Mean value", fixed(numbers["mean value"], 3) + " (softmax " + fixed(numbers["mean value of the softmax"], 3) + ")"],
        ["This pool is worth", tidy(1 / squares) + " samples"],
        ["Effective sample size", tidy(numbers["effective sample size"])],
        ["Survivors drawn", String(this.kept.length)],
      ]);
      this.status.textContent = this.note;
      this.describe(
        `${pool.nodes.length} candidates, the survivor at ${fixed(this.action(pool.nodes[pool.chosen]), 2)} with ` +
        `${percent(this.share(pool.chosen))} of the weight. After ${this.taken} sweeps the survivor's law has a total ` +
        `variation of ${tidy(numbers["total variation"])} to the softmax.`,
      );
      this.redraw();
    }

    height(width) {
      return Math.round(Math.min(500, Math.max(400, 0.68 * width)));
    }

    draw(c, width, height, colours) {
      if (!this.seen) return;
      const left = 46, right = width - 12, middle = Math.round(0.5 * height);
      this.drawPool(c, { left: left, right: right, top: 26, bottom: middle - 8 }, colours);
      this.drawLaws(c, { left: left, right: right, top: middle + 40, bottom: height - 36 }, colours);
      this.drawCursor(c, colours);
    }

    drawPool(c, box, colours) {
      const { values, low, high } = this.table, { nodes, chosen, again } = this.pool;
      const pad = 0.2 * (high - low), f = this.frame("pool", box, [-1, 1], [low - 0.6 * pad, high + pad]);
      const q = this.look("landscape"), dots = colours.sample;
      axes(c, f, colours, "value Q", false);
      c.strokeStyle = q.colour;
      c.setLineDash(q.dash);
      c.lineWidth = 1.5;
      c.beginPath();
      for (let i = 0; i < values.length; i += 2) c.lineTo(f.x(this.action(i)), f.y(values[i]));
      c.stroke();
      c.setLineDash([]);
      c.fillStyle = dots;
      c.globalAlpha = 0.65;
      const place = (i) => [f.x(this.action(nodes[i])), f.y(values[nodes[i]]), 2 + 15 * Math.sqrt(this.share(i))];
      for (let i = 0; i < nodes.length; i++) {
        c.beginPath();
        c.arc(...place(i), 0, 2 * Math.PI);
        c.fill();
      }
      c.globalAlpha = 1;
      const ring = (i, square) => {
        const [px, py, size] = place(i), r = size + 4;
        c.beginPath();
        if (square) c.rect(px - r, py - r, 2 * r, 2 * r);
        else c.arc(px, py, r, 0, 2 * Math.PI);
        c.stroke();
        return [px, py, r];
      };
      c.strokeStyle = colours.ink;
      c.lineWidth = 1.2;
      if (again) ring(nodes.length - 1, true);
      c.lineWidth = 2.4;
      const [px, py, r] = ring(chosen, false);
      c.fillStyle = colours.ink;
      c.textAlign = "center"; // below the landscape there are no dots
      c.fillText("survivor", Math.min(f.right - 26, Math.max(f.left + 26, px)), Math.min(f.bottom - 4, py + r + 14));
      c.textAlign = "right";
      c.fillStyle = colours.quiet;
      c.fillText("area of a dot: its share of the weight", f.right, f.top - 9);
      c.textAlign = "left";
    }

    drawLaws(c, box, colours) {
      const { softmax, last } = this.cells, { drawn } = this.seen, n = drawn.length;
      const tall = 1.12 * Math.max(...softmax, ...last), f = this.frame("laws", box, [-1, 1], [0, tall]);
      axes(c, f, colours, "share of a cell", true);
      const edge = (i) => f.x((2 * i) / n - 1), up = (p) => Math.max(f.top, f.y(p));
      c.fillStyle = colours.sample;
      c.globalAlpha = 0.3;
      for (let i = 0; i < n; i++) c.fillRect(edge(i), up(drawn[i]), edge(i + 1) - edge(i) - 0.5, f.bottom - up(drawn[i]));
      c.globalAlpha = 1;
      for (const [law, look] of [[softmax, "exact"], [last, "samples"]]) {
        c.strokeStyle = this.look(look).colour;
        c.setLineDash(this.look(look).dash);
        c.lineWidth = 2;
        c.beginPath();
        for (let i = 0; i < n; i++) {
          c.lineTo(edge(i), up(law[i]));
          c.lineTo(edge(i + 1), up(law[i]));
        }
        c.stroke();
      }
      c.setLineDash([]);
      const names = [["softmax", this.look("exact").colour], ["survivor's law", this.look("samples").colour]];
      let x = f.left - 42;
      for (const [name, colour] of names) {
        c.strokeStyle = colour;
        c.beginPath();
        c.moveTo(x, f.top - 13);
        c.lineTo(x + 20, f.top - 13);
        c.stroke();
        c.fillStyle = colours.ink;
        c.fillText(name, x + 25, f.top - 9);
        x += 40 + c.measureText(name).width;
      }
      c.fillStyle = colours.sample;
      c.globalAlpha = 0.4;
      c.fillRect(x, f.top - 18, 12, 10);
      c.globalAlpha = 1;
      c.fillStyle = colours.ink;
      c.fillText("drawn", x + 17, f.top - 9);
    }

    report() {
      const { settings, numbers, pool, note, taken, seen } = this;
      return {
        settings: settings, numbers: numbers, taken: taken, drawn: this.kept.length, note: note,
        measured: { tv: seen.tv, exact: seen.exact, floor: seen.floor },
        pool: { actions: Array.from(pool.nodes, (node) => this.action(node)), chosen: pool.chosen },
      };
    }
  }

  function percent(p) {
    return tidy(100 * p) + " %";
  }

  function axes(c, f, colours, ylabel, named) {
    c.strokeStyle = colours.quiet;
    c.lineWidth = 1;
    c.strokeRect(f.left, f.top, f.right - f.left, f.bottom - f.top);
    c.fillStyle = colours.quiet;
    c.textAlign = "center";
    for (const v of [-1, -0.5, 0, 0.5, 1]) c.fillText(fixed(v, v % 1 ? 1 : 0), f.x(v), f.bottom + 14);
    if (named) c.fillText("action", f.x(0), f.bottom + 29);
    c.textAlign = "right";
    const [low, high] = f.ylim, steps = window.softqLab.marks(low, high, false);
    for (const v of steps) c.fillText(tidy(v).replace("-", "\u2212"), f.left - 5, f.y(v) + 4);
    c.textAlign = "left";
    if (!named) c.fillText(ylabel, f.left - 42, f.top - 9);
    else {
      c.save();
      c.translate(f.left - 36, f.bottom);
      c.rotate(-Math.PI / 2);
      c.fillText(ylabel, 0, 0);
      c.restore();
    }
  }

  register("candidates", CandidatesLab);
})();
