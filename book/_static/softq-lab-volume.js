/* softq's lab of volume functions and their bounds.
 *
 * The class `VolumeLab` of softq/lab/volume.py in the page: the formulas are those of softq/exact/bounds.py.
 */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const { landscape, grid, softmax, interpolate } = window.softqKit;

  /** Lambert's function: the x >= 0 with x e^x = y, for y >= 0, by Newton's method on x + log x = log y. */
  function lambert(y) {
    if (y < 1e-12) return y;
    let x = Math.log1p(y);
    for (let i = 0; i < 50; i++) {
      const step = (x + Math.log(x) - Math.log(y)) / (1 + 1 / x);
      x = Math.max(x - step, x / 10);
      if (Math.abs(step) < 1e-14 * x) break;
    }
    return x;
  }

  class VolumeLab extends CurveLab {
    prepare() {
      this.rows = {};
      for (const row of this.data.landscapes) {
        const table = grid(landscape(row.landscape), 1, 4000);
        this.rows[row.name] = Object.assign({ table: table, dim: 1, area: 2 }, row);
      }
    }

    /** The landscape that is shown: the parabola may have several dimensions. */
    chosen(s) {
      const row = this.rows[s.landscape], dim = s.landscape === this.data.parabola ? s.dim || 1 : 1;
      if (dim === 1) return row;
      const name = s.landscape + " " + dim;
      if (!this.rows[name]) {
        this.rows[name] = Object.assign({}, row, {
          dim: dim, area: Math.pow(2, dim), trivial: dim * row.trivial, sweep: null,
          eps: row.eps.map((eps) => dim * eps), vol: row.more[dim - 2],
        });
      }
      return this.rows[name];
    }

    /** A dimension is one of the parabola, and other landscapes have one. */
    changed(name) {
      const s = this.settings, { parabola } = this.data;
      if (name === "dim" && s.dim > 1) s.landscape = parabola;
      if (name === "landscape" && s.landscape !== parabola && "dim" in s) s.dim = 1;
    }

    /** The exact gap of the softmax and its bounds, in units of Q. */
    bounds(row, temperature) {
      const vol = (eps) => interpolate(row.eps, row.vol, eps);
      const law = softmax(row.table, temperature), { area, dim } = row, relative = area / vol(temperature);
      const kappa = Math.max(1, Math.log(relative));
      let growth = 1, best = Infinity;
      row.eps.forEach((eps, i) => {
        growth = Math.max(growth, vol(kappa * eps) / row.vol[i]);
        best = Math.min(best, eps + temperature * lambert((area / row.vol[i] - 1) / Math.E));
      });
      return {
        gap: dim * (row.maximum - law.mean),
        best: best,
        theorem1: temperature * (growth + Math.E * kappa),
        lambert: temperature * (1 + lambert((relative - 1) / Math.E)),
        logVolume: dim * (temperature * (Math.log(2) - law.logPartition) + row.maximum),
        trivial: row.trivial,
      };
    }

    view(s) {
      const { data } = this;
      const row = this.chosen(s), n = row.table.cells, vol = interpolate(row.eps, row.vol, s.eps);
      const now = this.bounds(row, s.temperature);
      if (!row.sweep) row.sweep = data.temperatures.map((t) => this.bounds(row, t));
      const x = [], q = [], bands = [];
      for (let i = 0; i < n; i += 4) {
        x.push(((i + 0.5) * 2) / n - 1);
        q.push(row.table.values[i]);
      }
      for (let i = 0; i < n; i++) {
        if (row.maximum - row.table.values[i] > s.eps) continue;
        const from = (i * 2) / n - 1, last = bands[bands.length - 1];
        if (last && Math.abs(last[1] - from) < 1e-9) last[1] = from + 2 / n;
        else bands.push([from, from + 2 / n]);
      }
      const low = Math.min(...q), pad = 0.06 * (row.maximum - low), t = data.temperatures;
      const marks = [
        [s.eps, vol, "at the tolerance \u03b5", "tolerance"],
        [s.temperature, interpolate(row.eps, row.vol, s.temperature), "at \u03b5 = \u03bb", "temperature"],
      ];
      const line = (key, label, look) => ({ x: t, y: row.sweep.map((b) => b[key]), label, look });
      return {
        panels: [
          {
            xlabel: row.dim === 1 ? "action" : "one of " + row.dim + " coordinates, the others 0", ylabel: "value Q", bands: bands, xlim: [-1, 1], ylim: [low - pad, row.maximum + pad],
            curves: [
              { x: x, y: q, look: "landscape" },
              { x: [-1, 1], y: [row.maximum - s.eps, row.maximum - s.eps], look: "tolerance" },
            ],
          },
          {
            xlabel: "tolerance \u03b5", ylabel: "Vol(\u03b5)", log: [true, true], sets: "eps",
            curves: [{ x: row.eps, y: row.vol, look: "exact" }].concat(marks.map(([at, y, label, look]) => (
              { x: [at, at], y: [row.vol[0], y], label, look }))),
            points: marks.map(([at, y, , look]) => [at, y, look]),
          },
          {
            xlabel: "temperature \u03bb", ylabel: "price of softness", log: [true, true], sets: "temperature",
            ylim: [0.5 * row.sweep[0].gap, 30 * row.trivial],
            curves: [
              line("theorem1", "Theorem 1", "theorem 1"), line("logVolume", "log-volume", "log-volume"),
              line("lambert", "sharp, t = 1", "lambert one"), line("best", "sharp, best t", "lambert"),
              line("trivial", "trivial", "trivial"),
              line("gap", "exact gap", "gap"),
            ],
            points: [[s.temperature, now.gap, "gap"]],
          },
        ],
        numbers: {
          "Vol(\u03b5)": vol, "share of the box": vol / row.area, "exact gap": now.gap, "Theorem 1": now.theorem1,
          "sharp bound, t = 1": now.lambert, "sharp bound, best t": now.best, "log-volume bound": now.logVolume, "trivial bound": now.trivial,
        },
      };
    }
  }

  register("volume", VolumeLab);
})();
