/* softq's lab of three Bellman backups on the smallest world on which they disagree.
 *
 * The class `BackupLab` of softq/lab/backup.py in the page: the formulas are those of its Python twin.
 */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const BACKUPS = [ // each has the look of the concept of its name
    ["boltzmann", "Boltzmann average of Q"],
    ["soft", "soft value, log-sum-exp"],
    ["mellowmax", "log-mean-exp"],
  ];

  function doorMap(kind, x, s) {
    const e = Math.exp(-Math.abs(x) / s.temperature);
    const through = s.width * (x >= 0 ? 1 : e), wall = (1 - s.width) * (x >= 0 ? e : 1);
    if (kind === "boltzmann") return s.reward + (s.discount * x * through) / (through + wall);
    const volume = kind === "soft" ? 2 : 1;
    const logMean = Math.log(volume * (through + wall)) + Math.max(x, 0) / s.temperature;
    return s.reward + s.discount * s.temperature * logMean;
  }

  /** All solutions of x = doorMap(x): sign changes on a fine grid, then bisection. */
  function fixedPoints(kind, s) {
    const limit = (s.reward + s.discount * s.temperature * Math.log(2)) / (1 - s.discount) + 1e-6;
    const from = Math.min(0, s.reward - 1), count = 20000, found = [], rest = (x) => doorMap(kind, x, s) - x;
    let before = rest(from);
    for (let i = 1; i <= count; i++) {
      let low = from + ((limit - from) * (i - 1)) / count, high = from + ((limit - from) * i) / count;
      const after = rest(high);
      if (before * after < 0) {
        const sign = Math.sign(before);
        for (let k = 0; k < 60; k++) {
          const middle = (low + high) / 2;
          if (Math.sign(rest(middle)) === sign) low = middle;
          else high = middle;
        }
        found.push((low + high) / 2);
      }
      before = after;
    }
    return found;
  }

  /** Temperatures and values at all fixed points of a backup, which is linear in the temperature at a fixed ratio. */
  function branch(kind, s, ratios) {
    const line = { x: [], y: [], look: kind };
    for (const u of ratios) {
      const average = doorMap(kind, u, { temperature: 1, width: s.width, reward: 0, discount: 1 });
      const left = u - s.discount * average;
      if (left <= 0) continue;
      line.x.push(s.reward / left);
      line.y.push((u * s.reward) / left);
    }
    return line;
  }

  class BackupLab extends CurveLab {
    /** The reader asked to go on from what was learned at the last temperature. */
    changed(name) {
      if (name !== "temperature" || this.settings.begin !== "last" || !this.shown) return;
      this.settings.start = Math.min(Math.max(this.shown.numbers.reached, 0), this.data.highest);
    }

    /** A reset begins at the first guess again, not at what was reached. */
    restore() {
      this.shown = null;
      super.restore();
    }

    view(s) {
      const { data } = this;
      const best = s.reward / (1 - s.discount), numbers = {}, points = [];
      const found = BACKUPS.map((row) => fixedPoints(row[0], s));
      const high = 1.15 * Math.max(best, s.start, ...found.flat());
      const x = Array.from({ length: 400 }, (_, i) => (high * i) / 399);
      const curves = [{ x: x, y: x, label: "now = next", look: "diagonal" }];
      const changes = [{ x: [0, high], y: [0, 0], label: "no change", look: "diagonal" }], still = [];
      BACKUPS.forEach(([kind, label], i) => {
        const after = x.map((v) => doorMap(kind, v, s));
        curves.push({ x: x, y: after, label, look: kind });
        changes.push({ x: x, y: after.map((v, k) => 1000 * (v - x[k])), look: kind });
        for (const p of found[i]) {
          points.push([p, p, kind]);
          still.push([p, 0, kind]);
        }
      });
      const path = [s.start];
      for (let k = 0; k < data.sweeps; k++) path.push(doorMap(s.backup, path[k], s));
      const stairs = path.flatMap((v) => [v, v]);
      curves.push({ x: stairs.slice(0, -1), y: stairs.slice(1), look: "iterates" });
      const loop = BACKUPS.map(([kind]) => branch(kind, s, data.ratios));
      loop.push({ x: [s.temperature, s.temperature], y: [0, high], label: "this temperature", look: "diagonal" });
      found[0].forEach((p, i) => (numbers["Boltzmann fixed point " + (i + 1)] = p));
      numbers["soft fixed point"] = found[1][0];
      numbers["log-mean-exp fixed point"] = found[2][0];
      numbers["optimal value"] = best;
      numbers["reached"] = path[data.sweeps];
      return {
        panels: [
          { xlabel: "value of the door now", ylabel: "after one backup", sets: "start", curves: curves, points: points,
            xlim: [0, high], ylim: [0, high] },
          { xlabel: "value of the door now", ylabel: "1000 \u00d7 change in one backup", sets: "start", curves: changes,
            points: still, xlim: [0, high], ylim: [-1000 * data.zoom * best, 1000 * data.zoom * best] },
          {
            xlabel: "sweep", ylabel: "value of the door", xlim: [0, data.sweeps], ylim: [0, high],
            curves: [
              { x: path.map((_, i) => i), y: path, label: s.begin === "last" ? "iterates, from where the last ended" : "iterates",
                look: "iterates" },
              { x: [0, data.sweeps], y: [best, best], label: "optimal value", look: "maximum" },
            ],
          },
          { xlabel: "temperature \u03bb", ylabel: "fixed points", log: [true, false], sets: "temperature", curves: loop,
            points: [[s.temperature, path[data.sweeps], "iterates"]], xlim: data.range, ylim: [0, high] },
        ],
        numbers: numbers,
      };
    }
  }

  register("backup", BackupLab);
})();
