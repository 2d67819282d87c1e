/* softq's lab of volume functions and their bounds.
 *
 * The class `VolumeLab` of softq/lab/volume.py in the page: the formulas are those of softq/exact/bounds.py.
 */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const { landscape, grid, softmax } = window.softqKit;

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

  /** A line through (xs, ys) in logarithmic axes; beyond its ends the nearest value. */
  function interpolate(xs, ys, x) {
    if (x <= xs[0]) return ys[0] * Math.pow(x / xs[0], Math.log(ys[1] / ys[0]) / Math.log(xs[1] / xs[0]));
    if (x >= xs[xs.length - 1]) return ys[ys.length - 1];
    let low = 0, high = xs.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle;
      else high = middle;
    }
    const share = Math.log(x / xs[low]) / Math.log(xs[high] / xs[low]);
    return ys[low] * Math.pow(ys[high] / ys[low], share);
  }

  class VolumeLab extends CurveLab {
    prepare() {
      this.rows = {};
      for (const row of this.data.landscapes) {
        const table = grid(landscape(row.landscape), 1, 4000);
        this.rows[row.name] = Object.assign({ table: table }, row);
      }
    }

    /** The exact gap of the softmax and its bounds, in units of Q. */
    bounds(row, temperature) {
      const vol = (eps) => interpolate(row.eps, row.vol, eps);
      const law = softmax(row.table, temperature), area = 2, relative = area / vol(temperature);
      const kappa = Math.max(1, Math.log(relative));
      let growth = 1;
      for (const eps of row.eps) growth = Math.max(growth, vol(kappa * eps) / vol(eps));
      return {
        gap: row.maximum - law.mean,
        theorem1: temperature * (growth + Math.E * kappa),
        lambert: temperature * (1 + lambert((relative - 1) / Math.E)),
        logVolume: temperature * (Math.log(area) - law.logPartition) + row.maximum,
        trivial: row.trivial,
      };
    }

    view(s) {
      const { data } = this;
      const row = this.rows[s.landscape], n = row.table.cells, vol = interpolate(row.eps, row.vol, s.eps);
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
      const line = (key, label, look) => ({ x: t, y: row.sweep.map((b) => b[key]), label, look });
      return {
        panels: [
          {
            xlabel: "action", ylabel: "value Q", bands: bands, xlim: [-1, 1], ylim: [low - pad, row.maximum + pad],
            curves: [
              { x: x, y: q, look: "landscape" },
              { x: [-1, 1], y: [row.maximum - s.eps, row.maximum - s.eps], look: "tolerance" },
            ],
          },
          {
            xlabel: "tolerance \u03b5", ylabel: "Vol(\u03b5)", log: [true, true], sets: "eps",
            curves: [{ x: row.eps, y: row.vol, look: "exact" }],
            points: [[s.eps, vol, "exact"], [s.temperature, interpolate(row.eps, row.vol, s.temperature), "samples"]],
          },
          {
            xlabel: "temperature \u03bb", ylabel: "price of softness", log: [true, true], sets: "temperature",
            curves: [
              line("theorem1", "Theorem 1", "theorem 1"), line("logVolume", "log-volume", "log-volume"),
              line("lambert", "Lambert", "lambert"), line("trivial", "trivial", "trivial"),
              line("gap", "exact gap", "gap"),
            ],
            points: [[s.temperature, now.gap, "gap"]],
          },
        ],
        numbers: {
          "Vol(\u03b5)": vol, "share of the box": vol / 2, "exact gap": now.gap, "Theorem 1": now.theorem1,
          "Lambert bound": now.lambert, "log-volume bound": now.logVolume, "trivial bound": now.trivial,
        },
      };
    }
  }

  register("volume", VolumeLab);
})();
