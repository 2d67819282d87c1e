/* softq's lab of the trap: the class `TrapLab` of softq/lab/trap.py in the page, policy iteration as a cobweb. */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;

  /** p log(q / p), which is 0 where p is. */
  function cross(p, q) {
    return p > 0 ? p * Math.log(q / p) : 0;
  }

  class TrapLab extends CurveLab {
    /** A value that is clicked or dragged to is that of the first policy. */
    onPointer(event) {
      const { cost, discount } = this.settings, stays = (1 + cost / Math.min(event.x, -cost)) / discount;
      super.onPointer(Object.assign({}, event, { x: stays }));
    }

    view(s) {
      const { sweeps, late, iterations } = this.data, odds = s.exit / (1 - s.exit);
      const stays = (x) => 1 / (1 + odds * Math.exp(-x / s.temperature));
      /** What staying is worth under a policy that stays with probability p. */
      const worth = (p, kind) => {
        const entropy = cross(p, 2 * (1 - s.exit)) + cross(1 - p, 2 * s.exit);
        return ((kind === "soft" ? s.discount * s.temperature * entropy : 0) - s.cost) / (1 - s.discount * p);
      };
      const next = (x, kind) => worth(stays(x), kind), paths = {};
      for (const [kind] of iterations) {
        const path = (paths[kind] = [worth(s.first, kind)]);
        for (let k = 0; k < late; k++) path.push(next(path[k], kind));
      }
      const shown = (kind) => paths[kind].slice(0, sweeps + 1), least = -s.cost / (1 - s.discount);
      const low = Math.min(least, ...shown("soft")), high = Math.max(0, ...shown("soft"));
      const pad = 0.05 * (high - low), limits = [low - pad, high + pad];
      const x = Array.from({ length: 400 }, (_, i) => limits[0] + ((limits[1] - limits[0]) * i) / 399);
      const curves = [{ x: x, y: x, label: "now = next", look: "diagonal" }];
      for (const [kind, label] of iterations) curves.push({ x: x, y: x.map((v) => next(v, kind)), label, look: kind });
      const stairs = shown(s.iteration).flatMap((v) => [v, v]);
      curves.push({ x: stairs.slice(0, -1), y: stairs.slice(1), look: "iterates" });
      let [from, to] = [least, 0]; // the map falls, so that it crosses the diagonal once
      for (let k = 0; k < 60; k++) {
        const middle = (from + to) / 2;
        if (next(middle, "boltzmann") > middle) from = middle;
        else to = middle;
      }
      const p = stays(from), settled = paths.soft[late];
      const last = paths.boltzmann.slice(-2).sort((a, b) => a - b), time = shown("soft").map((_, k) => k);
      return {
        panels: [
          { xlabel: "value of staying, now", ylabel: "under the next policy", sets: "first", curves: curves,
            xlim: limits, ylim: limits, points: [[from, from, "boltzmann"], [settled, settled, "soft"]] },
          { xlabel: "sweep", ylabel: "value of staying", xlim: [0, sweeps], ylim: limits,
            curves: iterations.map(([kind]) => ({ x: time, y: shown(kind), look: kind })) },
        ],
        numbers: {
          "fixed point": from,
          "slope there": ((s.discount * from) / s.temperature) * p * (1 - p) / (1 - s.discount * p),
          "last two values, lower": last[0],
          "higher": last[1],
          "limit of soft policy iteration": settled,
        },
      };
    }
  }

  register("trap", TrapLab);
})();
