/* softq's lab of three rooms: the class `RoomsLab` of softq/lab/rooms.py in the page. */
(function () {
  "use strict";

  const { CurveLab, register } = window.softqLab;
  const { geometric } = window.softqKit;
  const HALL = Float64Array.from({ length: 200 }, (_, i) => (i + 0.5) / 100 - 1);
  const ROOT = Float64Array.from({ length: 160 }, (_, i) => (i + 0.5) / 160);
  const WORKSHOP = ROOT.map((t) => t ** 3), squares = ROOT.reduce((sum, t) => sum + t * t, 0); // sizes of actions
  const WEIGHTS = [HALL.map(() => 2 / HALL.length), ROOT.map((t) => (2 * t * t) / squares)];
  const TEMPERATURES = Array.from(geometric(0.02, 1, 12));

  function hill(a, centre, width) {
    return Math.exp(-0.5 * ((a - centre) / width) ** 2);
  }

  /** The mean of q under its softmax, log-mean-exp and the soft value; `p`, if given, becomes the softmax's density. */
  function average(look, q, weights, temperature, p) {
    let top = -Infinity, total = 0, sum = 0;
    for (const v of q) if (v > top) top = v;
    for (let i = 0; i < q.length; i++) {
      const e = Math.exp((q[i] - top) / temperature);
      total += weights[i] * e;
      sum += weights[i] * e * q[i];
      if (p) p[i] = e;
    }
    if (p) for (let i = 0; i < q.length; i++) p[i] /= total;
    if (look === "soft" || look === "mellowmax") {
      return top + temperature * Math.log(look === "soft" ? total : total / 2);
    }
    return sum / total;
  }

  class RoomsLab extends CurveLab {
    prepare() {
      const [work, lounge] = ["workshop", "lounge"].map((name) => HALL.map((a) => hill(a, ...this.data.places[name])));
      const scale = work.map((w, i) => Math.max(1, w + lounge[i]));
      this.ways = [work, lounge].map((way) => way.map((w, i) => w / scale[i]));
      this.stay = this.ways[0].map((w, i) => 1 - w - this.ways[1][i]);
    }

    /** The optimal values of hall, workshop and lounge. */
    best(s) {
      const { discount } = this.data, work = s.pay / (1 - discount), lounge = s.rest / (1 - discount * (1 - s.closes));
      const each = this.stay.map((stay, i) => (
        (discount * (this.ways[0][i] * work + this.ways[1][i] * lounge)) / (1 - discount * stay)));
      return [Math.max(...each), work, lounge];
    }

    /** One of the solutions at a temperature: densities in the hall and the workshop, and the true value of the hall. */
    solve(s, look, start, temperature) {
      const { discount, sweeps } = this.data, [toWork, toLounge] = this.ways, best = this.best(s);
      const success = WORKSHOP.map((a) => hill(a, 0, s.precision));
      const hall = new Float64Array(HALL.length), work = new Float64Array(WORKSHOP.length);
      let v = start === "optimum" ? best : [0, 0, 0];
      for (let k = 0; k < sweeps; k++) {
        for (let i = 0; i < hall.length; i++) {
          hall[i] = discount * (toWork[i] * v[1] + toLounge[i] * v[2] + this.stay[i] * v[0]);
        }
        for (let i = 0; i < work.length; i++) work[i] = success[i] * (s.pay + discount * v[1]);
        const idle = s.rest + discount * (1 - s.closes) * v[2];
        v = [average(look, hall, WEIGHTS[0], temperature), average(look, work, WEIGHTS[1], temperature),
          idle + (look === "soft" ? temperature * Math.LN2 : 0)];
      }
      const p = new Float64Array(hall.length), w = new Float64Array(work.length);
      average(look, hall, WEIGHTS[0], temperature, p);
      average(look, work, WEIGHTS[1], temperature, w);
      const mean = (density, weights, f) => f.reduce((sum, value, i) => sum + density[i] * weights[i] * value, 0);
      const hits = mean(w, WEIGHTS[1], success), earned = (s.pay * hits) / (1 - discount * hits);
      const out = mean(p, WEIGHTS[0], toWork) * earned + mean(p, WEIGHTS[0], toLounge) * best[2];
      return { hall: p, workshop: w, value: (discount * out) / (1 - discount * mean(p, WEIGHTS[0], this.stay)) };
    }

    view(s) {
      const world = [s.precision, s.pay, s.rest, s.closes].join(), [best] = this.best(s), numbers = {};
      if (this.world !== world) this.sweep = new Map(); // the curves depend on all but the temperature
      this.world = world;
      const earn = [], points = [], halls = [], works = [], both = [];
      WORKSHOP.forEach((a) => (both.unshift(-a), both.push(a)));
      for (const [label, start, look] of this.data.solutions) {
        if (!this.sweep.has(label)) this.sweep.set(label, TEMPERATURES.map((t) => this.solve(s, look, start, t).value));
        const now = this.solve(s, look, start, s.temperature), mirrored = [];
        now.workshop.forEach((p) => (mirrored.unshift(p), mirrored.push(p)));
        earn.push({ x: TEMPERATURES, y: this.sweep.get(label), label: label, look: look });
        points.push([s.temperature, now.value, look]);
        halls.push({ x: HALL, y: now.hall, look: look });
        works.push({ x: both, y: mirrored, look: look });
        numbers["return, " + label] = now.value;
      }
      numbers.optimum = best;
      earn.push({ x: [0.02, 1], y: [best, best], look: "maximum" });
      const box = { ylabel: "density", log: [false, true], xlim: [-1, 1], ylim: [0.05, 100] };
      return {
        panels: [
          { xlabel: "temperature \u03bb", ylabel: "return from the hall", log: [true, false], sets: "temperature",
            curves: earn, points: points, xlim: [0.02, 1], ylim: [0, Math.max(1.1 * best, 1e-3)] },
          Object.assign({ xlabel: "action in the hall", curves: halls }, box),
          Object.assign({ xlabel: "action in the workshop", curves: works }, box),
        ],
        numbers: numbers,
      };
    }
  }

  register("rooms", RoomsLab);
})();
