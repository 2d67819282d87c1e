/* softq's laboratories of curves: volume functions, resampling, and three Bellman backups.
 *
 * Each kind computes from its settings the panels that are drawn and the numbers below them; the formulas are those of
 * softq/exact/bounds.py, softq/exact/importance.py and softq/lab/backup.py, and the browser tests compare the numbers. The rest,
 * controls and drawing, is shared. Needs softq-lab.js before it.
 */
(function () {
  "use strict";

  const { landscape, grid, softmax, make, tidy, palette, install, surface } = window.softqLab.kit;
  const COLOURS = { exact: "exact", sample: "particle", third: "third", fourth: "fourth", ink: "ink" };
  const DASHES = { line: [], dash: [7, 4], dot: [2, 3] };

  // ------------------------------------------------------------------------------------------ small mathematics

  function geometric(low, high, count) {
    return Array.from({ length: count }, (_, i) => low * Math.pow(high / low, i / (count - 1)));
  }

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

  // --------------------------------------------------------------------------- volume functions and their bounds

  const kinds = {};

  kinds.volume = {
    controls: (data) => [
      { name: "landscape", label: "Landscape", options: data.landscapes.map((row) => [row.name, row.name]) },
      { name: "eps", label: "Tolerance \u03b5" },
      { name: "temperature", label: "Temperature \u03bb" },
    ],
    prepare: function (data) {
      this.rows = {};
      for (const row of data.landscapes) {
        const table = grid(landscape(row.landscape), 1, 4000);
        this.rows[row.name] = Object.assign({ table: table }, row);
      }
    },
    bounds: function (row, temperature) {
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
    },
    view: function (data, s) {
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
      const line = (key, label, role, style) => ({ x: t, y: row.sweep.map((b) => b[key]), label, role, style });
      return {
        panels: [
          {
            xlabel: "action", ylabel: "value Q", bands: bands, xlim: [-1, 1], ylim: [low - pad, row.maximum + pad],
            curves: [
              { x: x, y: q, role: "ink", style: "line" },
              { x: [-1, 1], y: [row.maximum - s.eps, row.maximum - s.eps], role: "exact", style: "dot" },
            ],
          },
          {
            xlabel: "tolerance \u03b5", ylabel: "Vol(\u03b5)", log: [true, true],
            curves: [{ x: row.eps, y: row.vol, role: "exact", style: "line" }],
            points: [[s.eps, vol, "exact"], [s.temperature, interpolate(row.eps, row.vol, s.temperature), "sample"]],
          },
          {
            xlabel: "temperature \u03bb", ylabel: "price of softness", log: [true, true],
            curves: [
              line("theorem1", "Theorem 1", "sample", "dash"), line("logVolume", "log-volume", "fourth", "dash"),
              line("lambert", "Lambert", "third", "dash"), line("trivial", "trivial", "ink", "dot"),
              line("gap", "exact gap", "exact", "line"),
            ],
            points: [[s.temperature, now.gap, "exact"]],
          },
        ],
        numbers: {
          "Vol(\u03b5)": vol, "share of the box": vol / 2, "exact gap": now.gap, "Theorem 1": now.theorem1,
          "Lambert bound": now.lambert, "log-volume bound": now.logVolume, "trivial bound": now.trivial,
        },
      };
    },
  };

  // ------------------------------------------------------------------------------------------------- resampling

  kinds.importance = {
    controls: (data) => [
      { name: "dim", label: "Dimension d", options: Object.keys(data.laws).map((d) => [Number(d), d]) },
      { name: "num_candidates", label: "Candidates m", integer: true },
      { name: "temperature", label: "Temperature \u03bb" },
    ],
    prepare: function (data) {
      this.laws = {};
      for (const [dim, law] of Object.entries(data.laws)) {
        const n = law.mass.length;
        this.laws[dim] = { regret: geometric(law.first, law.last, n), mass: law.mass };
      }
    },
    /** Weights W = p/q of the cells, and log E_q exp(-t W) for many t: all that follows is sums over t. */
    weigh: function (law, temperature) {
      const n = law.mass.length, w = new Float64Array(n), top = law.regret[0], step = 0.25;
      let sum = 0, variance = 0, mean = 0;
      for (let i = 0; i < n; i++) sum += law.mass[i] * Math.exp((top - law.regret[i]) / temperature);
      for (let i = 0; i < n; i++) {
        // weights below exp(-80) carry nothing and would only stretch the range of t
        w[i] = Math.exp(Math.max((top - law.regret[i]) / temperature - Math.log(sum), -80));
        variance += law.mass[i] * w[i] * (w[i] - 1);
        mean += law.mass[i] * w[i] * law.regret[i];
      }
      const t = [], logPhi = [], last = Math.log(750) - Math.log(w[n - 1]);
      for (let u = -80; u < last; u += step) {
        const scale = Math.exp(u);
        let phi = 0, loss = 0; // phi is raised to the power m - 1: near 1, what it lacks to 1 is what counts
        for (let i = 0; i < n; i++) {
          phi += law.mass[i] * Math.exp(-scale * w[i]);
          loss -= law.mass[i] * Math.expm1(-scale * w[i]);
        }
        t.push(scale);
        logPhi.push(loss < 0.5 ? Math.log1p(-loss) : Math.log(Math.max(phi, 1e-300)));
      }
      return { w: w, t: t, logPhi: logPhi, step: step, variance: variance, mean: mean };
    },
    /** omega_m / p at each cell: m int exp(-t W) phi(t)^(m-1) dt, by the trapezoidal rule in log t. */
    ratio: function (law, weights, m) {
      const out = new Float64Array(law.mass.length);
      for (let k = 0; k < weights.t.length; k++) {
        const factor = m * weights.t[k] * Math.exp((m - 1) * weights.logPhi[k]) * weights.step;
        if (factor < 1e-16) continue;
        for (let i = 0; i < out.length; i++) out[i] += factor * Math.exp(-weights.t[k] * weights.w[i]);
      }
      return out;
    },
    distances: function (law, weights, m) {
      const ratio = this.ratio(law, weights, m);
      let tv = 0, jensen = 0, regret = 0;
      for (let i = 0; i < ratio.length; i++) {
        const p = law.mass[i] * weights.w[i];
        tv += 0.5 * p * Math.abs(ratio[i] - 1);
        jensen += (p * Math.max(weights.w[i] - 1, 0)) / (weights.w[i] + m - 1);
        regret += p * ratio[i] * law.regret[i];
      }
      return { ratio: ratio, tv: tv, jensen: jensen, regret: regret };
    },
    view: function (data, s) {
      const law = this.laws[s.dim], key = s.dim + "," + s.temperature;
      if (this.key !== key) {
        this.key = key;
        this.weights = this.weigh(law, s.temperature);
        const all = data.counts.map((m) => this.distances(law, this.weights, m));
        this.sweep = { tv: all.map((d) => d.tv), jensen: all.map((d) => d.jensen) };
      }
      const weights = this.weights, now = this.distances(law, weights, s.num_candidates);
      const scale = 1 / Math.log(law.regret[1] / law.regret[0]);
      const density = (f) => Array.from(law.mass, (q, i) => scale * q * f(i));
      return {
        panels: [
          {
            xlabel: "regret", ylabel: "density of log regret", log: [true, false],
            curves: [
              { x: law.regret, y: density(() => 1), label: "uniform", role: "ink", style: "dot" },
              { x: law.regret, y: density((i) => weights.w[i]), label: "softmax", role: "exact", style: "line" },
              {
                x: law.regret, y: density((i) => weights.w[i] * now.ratio[i]), label: "resampled",
                role: "sample", style: "dash",
              },
            ],
          },
          {
            xlabel: "candidates m", ylabel: "total variation", log: [true, false], ylim: [0, 1.02],
            curves: [
              { x: data.counts, y: this.sweep.tv, label: "exact", role: "sample", style: "line" },
              { x: data.counts, y: this.sweep.jensen, label: "Jensen bound", role: "third", style: "dash" },
            ],
            points: [[s.num_candidates, now.tv, "sample"]],
          },
        ],
        numbers: {
          "total variation": now.tv, "Jensen bound": now.jensen,
          "effective sample size": s.num_candidates / (1 + weights.variance),
          "mean regret": now.regret, "mean regret of the softmax": weights.mean,
        },
      };
    },
  };

  // ------------------------------------------------------------------------------------------------ three backups

  const BACKUPS = [
    ["boltzmann", "Boltzmann average of Q", "exact", "line"],
    ["soft", "soft value, log-sum-exp", "sample", "dash"],
    ["mellowmax", "log-mean-exp", "third", "dot"],
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

  kinds.backup = {
    controls: () => [
      { name: "backup", label: "Staircase of", options: BACKUPS.map((row) => [row[0], row[1]]) },
      { name: "start", label: "First guess", linear: true },
      { name: "temperature", label: "Temperature \u03bb" },
      { name: "width", label: "Share of the door" },
      { name: "reward", label: "Reward r" },
      { name: "discount", label: "Discount \u03b3", linear: true },
    ],
    prepare: function () {},
    view: function (data, s) {
      const best = s.reward / (1 - s.discount), numbers = {}, points = [];
      const found = BACKUPS.map((row) => fixedPoints(row[0], s));
      const high = 1.15 * Math.max(best, s.start, ...found.flat());
      const x = Array.from({ length: 400 }, (_, i) => (high * i) / 399);
      const curves = [{ x: x, y: x, label: "now = next", role: "ink", style: "dot" }];
      BACKUPS.forEach(([kind, label, role, style], i) => {
        curves.push({ x: x, y: x.map((v) => doorMap(kind, v, s)), label, role, style });
        for (const p of found[i]) points.push([p, p, role]);
      });
      const path = [s.start];
      for (let k = 0; k < data.sweeps; k++) path.push(doorMap(s.backup, path[k], s));
      const stairs = path.flatMap((v) => [v, v]);
      curves.push({ x: stairs.slice(0, -1), y: stairs.slice(1), role: "fourth", style: "line" });
      found[0].forEach((p, i) => (numbers["Boltzmann fixed point " + (i + 1)] = p));
      numbers["soft fixed point"] = found[1][0];
      numbers["log-mean-exp fixed point"] = found[2][0];
      numbers["optimal value"] = best;
      numbers["reached"] = path[data.sweeps];
      return {
        panels: [
          { xlabel: "value of the door now", ylabel: "after one backup", curves: curves, points: points,
            xlim: [0, high], ylim: [0, high] },
          {
            xlabel: "sweep", ylabel: "value of the door", xlim: [0, data.sweeps], ylim: [0, high],
            curves: [
              { x: path.map((_, i) => i), y: path, label: "iterates", role: "fourth", style: "line" },
              { x: [0, data.sweeps], y: [best, best], label: "optimal value", role: "ink", style: "dash" },
            ],
          },
        ],
        numbers: numbers,
      };
    },
  };

  // --------------------------------------------------------------------------------- controls, shared by all kinds

  function CurveLab(element, data) {
    this.element = element;
    this.data = data;
    this.kind = Object.create(kinds[data.kind]);
    this.kind.prepare(data);
    this.settings = Object.assign({}, data.settings);
    this.specs = this.kind.controls(data);
    this.fromQuery();
    this.build();
    this.refresh();
  }

  CurveLab.prototype.fit = function (spec, value) {
    if (spec.options) return spec.options.some((option) => option[0] === value) ? value : this.settings[spec.name];
    const [low, high] = this.data.ranges[spec.name];
    if (!Number.isFinite(value)) return this.settings[spec.name];
    value = Math.min(high, Math.max(low, value));
    return spec.integer ? Math.round(value) : value;
  };

  CurveLab.prototype.fromQuery = function () {
    const query = new URLSearchParams(window.location.search);
    for (const spec of this.specs) {
      const text = query.get(spec.name);
      if (text === null) continue;
      const value = spec.options && typeof spec.options[0][0] === "string" ? text : parseFloat(text);
      this.settings[spec.name] = this.fit(spec, value);
    }
  };

  CurveLab.prototype.toQuery = function () {
    if (!window.location.protocol.startsWith("http")) return;
    const query = new URLSearchParams(window.location.search);
    for (const spec of this.specs) {
      const value = this.settings[spec.name];
      query.set(spec.name, typeof value === "number" ? tidy(value) : value);
    }
    window.history.replaceState(null, "", "?" + query + window.location.hash);
  };

  CurveLab.prototype.build = function () {
    const id = this.data.id, start = Object.assign({}, this.settings);
    this.controls = {};
    this.outputs = {};
    const panel = make("div", { class: "softq-lab-controls", role: "group", "aria-label": "Controls of the figure" });
    for (const spec of this.specs) {
      const label = make("label", { for: id + "-" + spec.name, text: spec.label });
      let control, parts;
      if (spec.options) {
        control = make("select", { id: id + "-" + spec.name });
        for (const [value, text] of spec.options) control.append(make("option", { value: value, text: text }));
        control.addEventListener("change", () => {
          const numeric = typeof spec.options[0][0] === "number";
          this.set(spec.name, numeric ? Number(control.value) : control.value);
        });
        parts = [label, control];
      } else {
        const [low, high] = this.data.ranges[spec.name].map((v) => (spec.linear ? v : Math.log10(v)));
        control = make("input", { type: "range", id: id + "-" + spec.name, min: low, max: high });
        control.step = (high - low) / (spec.linear ? 200 : 120);
        control.addEventListener("input", () => {
          const value = parseFloat(control.value);
          this.set(spec.name, spec.linear ? value : Math.pow(10, value));
        });
        this.outputs[spec.name] = make("output", { for: id + "-" + spec.name });
        parts = [label, control, this.outputs[spec.name]];
      }
      this.controls[spec.name] = control;
      panel.append(make("div", { class: "softq-lab-control" + (spec.options ? "" : " softq-lab-wide") }, parts));
    }
    const reset = make("button", { type: "button", text: "Reset" });
    reset.addEventListener("click", () => {
      Object.assign(this.settings, start);
      this.refresh();
      this.toQuery();
    });
    install(this, [panel, make("div", { class: "softq-lab-buttons" }, [reset])]);
  };

  CurveLab.prototype.set = function (name, value) {
    this.settings[name] = this.fit(this.specs.find((spec) => spec.name === name), value);
    this.refresh();
    this.toQuery();
  };

  CurveLab.prototype.refresh = function () {
    this.shown = this.kind.view(this.data, this.settings);
    for (const spec of this.specs) {
      const value = this.settings[spec.name], control = this.controls[spec.name];
      if (spec.options) {
        control.value = value;
        continue;
      }
      control.value = spec.linear ? value : Math.log10(value);
      control.setAttribute("aria-valuetext", tidy(value));
      this.outputs[spec.name].textContent = tidy(value);
    }
    const numbers = Object.entries(this.shown.numbers);
    this.readout.replaceChildren(...numbers.map(([term, value]) =>
      make("div", {}, [make("dt", { text: term }), make("dd", { text: tidy(value).replace("-", "\u2212") })])));
    const said = numbers.map(([term, value]) => term + " " + tidy(value)).join(", ");
    this.canvas.setAttribute("aria-label", this.data.alt + " Now: " + said + ".");
    this.draw();
  };

  CurveLab.prototype.report = function () {
    return { settings: this.settings, numbers: this.shown.numbers };
  };

  // -------------------------------------------------------------------------------------------------- drawing

  const SHORT = 560; // narrower than this, panels stand below one another

  CurveLab.prototype.draw = function () {
    if (!this.shown) return;
    const panels = this.shown.panels, width = Math.max(240, Math.min(760, this.canvas.parentNode.clientWidth));
    // an odd panel out gets the whole width, the others share theirs
    const columns = width < SHORT ? 1 : 2, wide = panels.length % columns;
    const rows = wide + (panels.length - wide) / columns, each = Math.round(Math.min(300, width * 0.62));
    const c = surface(this, width, rows * each - (wide && columns > 1 ? 90 : 0)), colours = palette(this.element);
    let top = 0, column = 0;
    panels.forEach((panel, i) => {
      const full = i < wide || columns === 1, tall = full && columns > 1 ? each - 90 : each;
      const across = full ? width : width / columns;
      drawPanel(c, panel, { left: column * across, top: top, width: across, height: tall }, colours);
      column = full ? 0 : (column + 1) % columns;
      if (column === 0) top += tall;
    });
  };

  function span(values, log) {
    let low = Infinity, high = -Infinity;
    for (const v of values) {
      if (!Number.isFinite(v) || (log && v <= 0)) continue;
      [low, high] = [Math.min(low, v), Math.max(high, v)];
    }
    return [low, high];
  }

  /** Where to write numbers on an axis: powers of ten, or about five round values. */
  function marks(low, high, log) {
    const out = [];
    if (log) {
      const every = Math.max(1, Math.ceil(Math.log10(high / low) / 5));
      for (let e = Math.ceil(Math.log10(low) - 1e-9); e <= Math.log10(high) + 1e-9; e += every) out.push(Math.pow(10, e));
      return out;
    }
    const raw = (high - low) / 4, unit = Math.pow(10, Math.floor(Math.log10(raw)));
    const step = unit * [1, 2, 2.5, 5, 10].find((k) => k * unit >= raw);
    for (let v = Math.ceil(low / step) * step; v <= high + 1e-9; v += step) out.push(Math.abs(v) < 1e-12 ? 0 : v);
    return out;
  }

  function numeral(v) {
    return tidy(v).replace("-", "\u2212");
  }

  function drawPanel(c, panel, box, colours) {
    const [logX, logY] = panel.log || [false, false];
    const [x0, x1] = panel.xlim || span(panel.curves.flatMap((curve) => Array.from(curve.x)), logX);
    const legend = panel.curves.filter((curve) => curve.label);
    let [y0, y1] = panel.ylim || span(panel.curves.flatMap((curve) => Array.from(curve.y)), logY);
    if (!panel.ylim) [y0, y1] = logY ? [y0 * 0.8, y1 * 1.3] : [Math.min(0, y0), y1 * 1.08];
    const left = box.left + 46, right = box.left + box.width - 10;
    const longest = Math.max(0, ...legend.map((curve) => c.measureText(curve.label).width));
    const columns = longest + 32 < (right - left) / 2 ? 2 : 1, rows = Math.ceil(legend.length / columns);
    const top = box.top + 22 + 15 * rows, bottom = box.top + box.height - 36;
    const place = (v, low, high, log) => (log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low));
    const x = (v) => left + place(v, x0, x1, logX) * (right - left);
    const y = (v) => bottom - place(v, y0, y1, logY) * (bottom - top);

    c.lineWidth = 1;
    c.strokeStyle = colours.quiet;
    c.strokeRect(left, top, right - left, bottom - top);
    c.fillStyle = colours.quiet;
    c.textAlign = "center";
    for (const v of marks(x0, x1, logX)) {
      const half = c.measureText(numeral(v)).width / 2; // the last number may not stick out
      c.fillText(numeral(v), Math.min(x(v), right + 9 - half), bottom + 14);
    }
    c.fillText(panel.xlabel, (left + right) / 2, bottom + 29);
    c.textAlign = "right";
    for (const v of marks(y0, y1, logY)) c.fillText(numeral(v), left - 5, y(v) + 4);
    c.textAlign = "left";
    c.fillText(panel.ylabel, box.left + 4, box.top + 14);

    legend.forEach((curve, i) => {
      const lx = left + (i % columns) * ((right - left) / 2), ly = box.top + 27 + 15 * Math.floor(i / columns);
      c.strokeStyle = colours[COLOURS[curve.role]];
      c.lineWidth = 2;
      c.setLineDash(DASHES[curve.style]);
      c.beginPath();
      c.moveTo(lx, ly);
      c.lineTo(lx + 22, ly);
      c.stroke();
      c.setLineDash([]);
      c.fillStyle = colours.ink;
      c.fillText(curve.label, lx + 27, ly + 4);
    });

    c.save();
    c.beginPath();
    c.rect(left, top, right - left, bottom - top);
    c.clip();
    c.fillStyle = colours.exact;
    c.globalAlpha = 0.2;
    for (const [from, to] of panel.bands || []) c.fillRect(x(from), top, Math.max(1, x(to) - x(from)), bottom - top);
    c.globalAlpha = 1;
    c.lineWidth = 2;
    for (const curve of panel.curves) {
      c.strokeStyle = colours[COLOURS[curve.role]];
      c.setLineDash(DASHES[curve.style]);
      c.beginPath();
      for (let i = 0; i < curve.x.length; i++) {
        const px = x(curve.x[i]), py = Math.min(bottom + 50, Math.max(top - 50, y(curve.y[i])));
        if (i === 0) c.moveTo(px, py);
        else c.lineTo(px, py);
      }
      c.stroke();
    }
    c.setLineDash([]);
    for (const [px, py, role] of panel.points || []) {
      c.fillStyle = colours[COLOURS[role]];
      c.beginPath();
      c.arc(x(px), y(py), 4.5, 0, 2 * Math.PI);
      c.fill();
    }
    c.restore();
  }

  for (const kind of Object.keys(kinds)) window.softqLab.kinds[kind] = CurveLab;
})();
