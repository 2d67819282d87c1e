/* softq's laboratory figure: exact softmax and Langevin particles, computed in the page.
 *
 * A classic script with its data inline, so that it also works from file://. `softq/lab` writes the data; the
 * formulas here are those of softq/landscapes.py, softq/networks.py and softq/samplers, and the browser tests
 * compare their numbers. Nothing is fetched and nothing moves before the reader presses Run.
 */
(function () {
  "use strict";

  // ---------------------------------------------------------------------------------------------- values of Q

  /** Q and, when `grad` is given, its gradient: a sum of bumps, a power, a slope and a Cassini ridge. */
  function landscape(spec) {
    const dim = spec.dim;
    return function (a, grad) {
      let value = 0;
      if (grad) grad.fill(0);
      for (const [height, centre, width] of spec.bumps) {
        let squared = 0;
        for (let i = 0; i < dim; i++) squared += (a[i] - centre[i]) ** 2;
        const bump = height * Math.exp(-squared / (2 * width * width));
        value += bump;
        if (grad) for (let i = 0; i < dim; i++) grad[i] -= (bump * (a[i] - centre[i])) / (width * width);
      }
      if (spec.power) {
        const [scale, p] = spec.power;
        for (let i = 0; i < dim; i++) {
          const size = Math.abs(a[i]);
          value -= scale * Math.pow(size, p);
          if (grad) grad[i] -= scale * p * Math.pow(size, p - 1) * Math.sign(a[i]);
        }
      }
      if (spec.slope) {
        for (let i = 0; i < dim; i++) {
          value += spec.slope[i] * a[i];
          if (grad) grad[i] += spec.slope[i];
        }
      }
      if (spec.cassini) {
        const [scale, c] = spec.cassini;
        const x2 = a[0] * a[0], y2 = a[1] * a[1];
        const level = (x2 + y2) ** 2 - c * c * (x2 - y2);
        value -= scale * level * level;
        if (grad) {
          grad[0] -= 2 * scale * level * (4 * (x2 + y2) * a[0] - 2 * c * c * a[0]);
          grad[1] -= 2 * scale * level * (4 * (x2 + y2) * a[1] + 2 * c * c * a[1]);
        }
      }
      return value;
    };
  }

  /** Activations as [value, slope]. */
  const ACTIVATIONS = {
    mish: function (x) {
      const e = Math.exp(Math.min(x, 20)), n = e * (e + 2);
      return [(x * n) / (n + 2), n / (n + 2) + (4 * x * e * (e + 1)) / ((n + 2) * (n + 2))];
    },
    relu: (x) => (x > 0 ? [x, 1] : [0, 0]),
    silu: function (x) {
      const s = 1 / (1 + Math.exp(-x));
      return [x * s, s * (1 + x * (1 - s))];
    },
    gelu: function (x) {
      const c = Math.sqrt(2 / Math.PI), t = Math.tanh(c * (x + 0.044715 * x * x * x));
      return [0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 0.134145 * x * x)];
    },
    tanh: function (x) {
      const t = Math.tanh(x);
      return [t, 1 - t * t];
    },
  };

  /** min of twin MLPs at one state, whose part of the first layer comes ready in `features`; gradient by hand. */
  function critic(net, features) {
    const act = ACTIVATIONS[net.activation];
    const widths = net.widths, depth = widths.length, dim = net.dim;
    const values = widths.map((w) => new Float64Array(w)); // after the activation
    const slopes = [0, 1].map(() => widths.map((w) => new Float64Array(w)));
    const back = widths.map((w) => new Float64Array(w));

    function forward(k, a) {
      for (let l = 0; l < depth; l++) {
        const out = values[l], width = widths[l], from = l === 0 ? a : values[l - 1];
        const inputs = l === 0 ? dim : widths[l - 1];
        const kernel = l === 0 ? net.action : net.hidden[l - 1].kernel;
        const bias = l === 0 ? features : net.hidden[l - 1].bias;
        for (let j = 0; j < width; j++) out[j] = bias[k * width + j];
        for (let i = 0; i < inputs; i++) {
          const x = from[i], row = (k * inputs + i) * width;
          for (let j = 0; j < width; j++) out[j] += x * kernel[row + j];
        }
        for (let j = 0; j < width; j++) [out[j], slopes[k][l][j]] = act(out[j]);
      }
      const last = widths[depth - 1];
      let q = net.out.bias[k];
      for (let j = 0; j < last; j++) q += values[depth - 1][j] * net.out.kernel[k * last + j];
      return q;
    }

    function backward(k, grad) {
      const last = widths[depth - 1];
      for (let j = 0; j < last; j++) back[depth - 1][j] = net.out.kernel[k * last + j];
      for (let l = depth - 1; l >= 0; l--) {
        const width = widths[l], inputs = l === 0 ? dim : widths[l - 1];
        const kernel = l === 0 ? net.action : net.hidden[l - 1].kernel, into = l === 0 ? grad : back[l - 1];
        for (let j = 0; j < width; j++) back[l][j] *= slopes[k][l][j];
        for (let i = 0; i < inputs; i++) {
          const row = (k * inputs + i) * width;
          let sum = 0;
          for (let j = 0; j < width; j++) sum += kernel[row + j] * back[l][j];
          into[i] = sum;
        }
      }
    }

    return function (a, grad) {
      const first = forward(0, a), second = forward(1, a);
      if (grad) backward(first <= second ? 0 : 1, grad);
      return Math.min(first, second);
    };
  }

  function floats(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  }

  function decodeNetwork(net) {
    return {
      dim: net.dim,
      activation: net.activation,
      widths: net.widths,
      action: floats(net.action),
      hidden: net.hidden.map((layer) => ({ kernel: floats(layer.kernel), bias: floats(layer.bias) })),
      out: { kernel: floats(net.out.kernel), bias: floats(net.out.bias) },
    };
  }

  // ------------------------------------------------------------------------------------- the exact law, chains

  /** Midpoints of a regular grid on [-1, 1]^dim and Q there; the softmax at any temperature is then one pass. */
  function grid(q, dim, cells) {
    const count = cells ** dim, values = new Float64Array(count), a = new Float64Array(dim);
    for (let index = 0; index < count; index++) {
      place(index, cells, dim, a);
      values[index] = q(a, null);
    }
    return { cells: cells, dim: dim, values: values, volume: (2 / cells) ** dim };
  }

  function place(index, cells, dim, a) {
    for (let i = dim - 1; i >= 0; i--) {
      a[i] = ((index % cells) + 0.5) * (2 / cells) - 1;
      index = Math.floor(index / cells);
    }
  }

  function softmax(table, temperature) {
    let top = -Infinity;
    for (const q of table.values) top = Math.max(top, q);
    const p = new Float64Array(table.values.length);
    let sum = 0;
    for (let i = 0; i < p.length; i++) sum += p[i] = Math.exp((table.values[i] - top) / temperature);
    let mean = 0;
    for (let i = 0; i < p.length; i++) mean += (p[i] /= sum) * table.values[i];
    const logPartition = top / temperature + Math.log(sum * table.volume);
    return { p: p, mean: mean, logPartition: logPartition, entropy: logPartition - mean / temperature };
  }

  /** Seeded uniform numbers (sfc32) and, in pairs, normal ones (Box-Muller). */
  function generator(seed) {
    let a = 0x9e3779b9 ^ seed, b = 0x243f6a88, c = 0xb7e15162, d = 1, spare = null;
    function uniform() {
      const t = (((a + b) | 0) + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + t | 0;
      return ((t >>> 0) + 0.5) / 4294967296;
    }
    for (let i = 0; i < 16; i++) uniform();
    function normal() {
      if (spare !== null) {
        const kept = spare;
        spare = null;
        return kept;
      }
      const radius = Math.sqrt(-2 * Math.log(uniform())), angle = 2 * Math.PI * uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    }
    return { uniform: uniform, normal: normal };
  }

  /** softq.samplers.reflect: the line folded onto [-1, 1], whatever the length of the step. */
  function reflect(x) {
    const folded = (((x - 1) % 4) + 4) % 4;
    return Math.abs(folded - 2) - 1;
  }

  function project(x) {
    return Math.min(1, Math.max(-1, x));
  }

  const BOUNDARIES = { reflect: reflect, project: project };
  const WALLS = [["reflect", "reflect"], ["project", "project (clip)"]];
  const COLOURS = [["density", "exact density"], ["value", "value Q"]];

  // -------------------------------------------------------------------------------------------------- the lab

  const BINS = { 1: 40, 2: 12 }; // a side, for the histogram and the total variation
  const labs = {};

  function Lab(element, data) {
    this.element = element;
    this.data = data;
    this.dim = data.dim;
    const network = data.network ? decodeNetwork(data.network) : null;
    this.qs = data.states.map((s) => (network ? critic(network, floats(s.features)) : landscape(s.landscape)));
    this.tables = this.qs.map(() => null);
    this.cells = this.dim === 1 ? 4000 : 120;
    this.settings = {
      state: 0,
      temperature: data.temperature,
      step: data.step_size,
      steps: data.steps,
      boundary: data.boundary,
      particles: data.particles,
      seed: data.seed,
      show: "density",
    };
    this.ownStep = data.step_size !== null; // otherwise the step follows the temperature until the reader sets it
    this.fromQuery();
    this.followStep();
    this.running = false;
    this.still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.build();
    this.reset();
  }

  Lab.prototype.fromQuery = function () {
    const query = new URLSearchParams(window.location.search), s = this.settings;
    for (const name of ["temperature", "step", "seed", "particles", "steps"]) {
      const value = parseFloat(query.get(name));
      if (Number.isFinite(value) && (value > 0 || name === "seed")) {
        s[name] = value;
        if (name === "step") this.ownStep = true;
      }
    }
    const state = parseInt(query.get("state"), 10);
    if (state >= 0 && state < this.qs.length) s.state = state;
    if (query.get("boundary") in BOUNDARIES) s.boundary = query.get("boundary");
    s.temperature = Math.min(this.data.range[1], Math.max(this.data.range[0], s.temperature));
  };

  /** Keep the settings in the address, so that a view can be sent on. Pages opened as files keep theirs. */
  Lab.prototype.toQuery = function () {
    if (!window.location.protocol.startsWith("http")) return;
    const s = this.settings, query = new URLSearchParams(window.location.search);
    query.set("temperature", tidy(s.temperature));
    if (this.ownStep) query.set("step", tidy(s.step));
    for (const name of ["boundary", "seed", "particles", "steps", "state"]) query.set(name, s[name]);
    window.history.replaceState(null, "", "?" + query + window.location.hash);
  };

  Lab.prototype.followStep = function () {
    const s = this.settings;
    if (!this.ownStep) s.step = Math.min(0.05, s.temperature / this.data.states[s.state].curvature);
  };

  Lab.prototype.table = function () {
    const state = this.settings.state;
    if (!this.tables[state]) this.tables[state] = grid(this.qs[state], this.dim, this.cells);
    return this.tables[state];
  };

  /** What the current state and temperature imply: the exact law and its share of each histogram cell. */
  Lab.prototype.solve = function () {
    const table = this.table(), bins = BINS[this.dim], n = this.cells;
    this.law = softmax(table, this.settings.temperature);
    this.cellLaw = new Float64Array(bins ** this.dim);
    for (let index = 0; index < this.law.p.length; index++) {
      this.cellLaw[cellOf(index, n, this.dim, bins)] += this.law.p[index];
    }
  };

  function cellOf(index, n, dim, bins) {
    if (dim === 1) return Math.floor((index * bins) / n);
    return Math.floor((Math.floor(index / n) * bins) / n) * bins + Math.floor(((index % n) * bins) / n);
  }

  Lab.prototype.reset = function () {
    const s = this.settings, rng = generator(s.seed);
    this.rng = rng;
    this.particles = Float64Array.from({ length: s.particles * this.dim }, () => 2 * rng.uniform() - 1);
    this.taken = 0;
    this.target = 0;
    this.solve();
    this.refresh();
  };

  /** One Langevin step of every particle: a <- B(a + step/2 * grad Q / temperature + sqrt(step) * noise). */
  Lab.prototype.move = function () {
    const s = this.settings, dim = this.dim, q = this.qs[s.state], boundary = BOUNDARIES[s.boundary];
    const a = new Float64Array(dim), grad = new Float64Array(dim);
    const pull = s.step / (2 * s.temperature), noise = Math.sqrt(s.step);
    for (let k = 0; k < s.particles; k++) {
      for (let i = 0; i < dim; i++) a[i] = this.particles[k * dim + i];
      q(a, grad);
      for (let i = 0; i < dim; i++) {
        this.particles[k * dim + i] = boundary(a[i] + pull * grad[i] + noise * this.rng.normal());
      }
    }
    this.taken += 1;
  };

  Lab.prototype.measure = function () {
    const s = this.settings, dim = this.dim, bins = BINS[dim], q = this.qs[s.state], a = new Float64Array(dim);
    const counts = new Float64Array(bins ** dim);
    let mean = 0, walls = 0;
    for (let k = 0; k < s.particles; k++) {
      let cell = 0, wall = false;
      for (let i = 0; i < dim; i++) {
        a[i] = this.particles[k * dim + i];
        cell = cell * bins + Math.min(bins - 1, Math.floor(((a[i] + 1) / 2) * bins));
        wall = wall || Math.abs(a[i]) >= 1;
      }
      counts[cell] += 1;
      walls += wall;
      mean += q(a, null);
    }
    let tv = 0, floor = 0;
    for (let c = 0; c < counts.length; c++) {
      const p = this.cellLaw[c];
      tv += Math.abs(counts[c] / s.particles - p) / 2;
      floor += Math.sqrt((2 * p * (1 - p)) / (Math.PI * s.particles)) / 2;
    }
    return { mean: mean / s.particles, walls: walls / s.particles, tv: tv, floor: floor, counts: counts };
  };

  /** Go on to step `target`: drawn frame by frame, or, when `still`, at once and drawn at the end. */
  Lab.prototype.run = function (target, still) {
    const loop = (this.loop = {}); // a frame of an earlier run finds that it is no longer its turn
    this.target = target;
    this.running = true;
    this.buttons.run.textContent = "Pause";
    this.status.textContent = "";
    const perFrame = Math.max(1, Math.round(this.settings.steps / 240));
    const frame = () => {
      if (!this.running || this.loop !== loop) return;
      const until = performance.now() + 14;
      let done = 0;
      while (this.taken < this.target && (still ? performance.now() < until + 60 : done < perFrame)) {
        this.move();
        done += 1;
        if (!still && performance.now() > until) break;
      }
      if (this.taken >= this.target) this.pause();
      else if (!still) this.refresh();
      if (this.running) window.requestAnimationFrame(frame);
    };
    if (still) frame();
    else window.requestAnimationFrame(frame);
  };

  Lab.prototype.pause = function () {
    this.running = false;
    this.buttons.run.textContent = "Run";
    this.refresh();
    this.status.textContent = "Stopped after step " + this.taken + ".";
  };

  // ------------------------------------------------------------------------------------------------- controls

  function make(tag, attributes, children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "text") node.textContent = value;
      else node.setAttribute(name, value);
    }
    for (const child of children || []) node.append(child);
    return node;
  }

  function tidy(value) {
    return String(Number(value.toPrecision(3)));
  }

  function fixed(value, digits) {
    const text = value.toFixed(digits);
    return text.replace("-", "\u2212");
  }

  /** A new panel; its controls join `controls`. */
  Lab.prototype.openPanel = function (controls, label) {
    this.controls = controls;
    this.outputs = {};
    this.panel = make("div", { class: "softq-lab-controls", role: "group", "aria-label": label });
  };

  /** A labelled control in the panel; `extra` follows it. */
  Lab.prototype.addControl = function (name, label, control, extra) {
    const id = this.data.id + "-" + name;
    control.id = id;
    this.controls[name] = control;
    const wide = control.type === "range" ? " softq-lab-wide" : "";
    this.panel.append(make("div", { class: "softq-lab-control" + wide }, [
      make("label", { for: id, text: label }), control, ...(extra || []),
    ]));
  };

  /** A slider over the decades of `range`. */
  Lab.prototype.addSlider = function (name, label, range) {
    const [low, high] = range.map(Math.log10);
    const input = make("input", { type: "range", min: low, max: high, step: (high - low) / 120 });
    this.outputs[name] = make("output", { for: this.data.id + "-" + name });
    input.addEventListener("input", () => this.set(name, Math.pow(10, parseFloat(input.value))));
    this.addControl(name, label, input, [this.outputs[name]]);
  };

  Lab.prototype.addChoice = function (name, label, choices) {
    const select = make("select");
    for (const [value, text] of choices) select.append(make("option", { value: value, text: text }));
    select.addEventListener("change", () => {
      const value = select.value;
      this.set(name, typeof this.settings[name] === "number" ? parseFloat(value) : value);
    });
    this.addControl(name, label, select);
  };

  Lab.prototype.addSeed = function () {
    const seed = make("input", { type: "number", min: 0, step: 1 });
    seed.addEventListener("change", () => this.set("seed", Math.max(0, Math.floor(Number(seed.value) || 0))));
    this.addControl("seed", "Seed", seed);
  };

  /** Run, Step, Reset and a line that says what happened. */
  Lab.prototype.buttonRow = function () {
    this.buttons = {};
    const row = make("div", { class: "softq-lab-buttons" });
    const button = (name, text, action) => {
      this.buttons[name] = make("button", { type: "button", text: text });
      this.buttons[name].addEventListener("click", action);
      row.append(this.buttons[name]);
    };
    button("run", "Run", () => (this.running ? this.pause() : this.run(this.taken + this.settings.steps, this.still)));
    button("step", "Step", () => {
      if (this.running) this.pause();
      this.move();
      this.refresh();
    });
    button("reset", "Reset", () => {
      if (this.running) this.pause();
      this.reset();
    });
    this.status = make("span", { class: "softq-lab-status", role: "status" });
    row.append(this.status);
    return row;
  };

  Lab.prototype.build = function () {
    const s = this.settings;
    this.openPanel({}, "Controls of the figure");
    if (this.qs.length > 1) this.addChoice("state", "State", this.data.states.map((state, i) => [i, state.name]));
    this.addSlider("temperature", "Temperature \u03bb", this.data.range);
    this.addSlider("step", "Step size \u03b4", [1e-4, 1]);
    this.addChoice("boundary", "At the walls", WALLS);
    this.addChoice("steps", "Steps in a run", options([20, 100, 500, 2000], s.steps));
    this.addChoice("particles", "Particles", options([100, 400, 1600], s.particles));
    if (this.dim === 2) this.addChoice("show", "Colour shows", COLOURS);
    this.addSeed();
    install(this, [this.buttonRow(), this.panel]);
  };

  /** Put a canvas, a readout and `parts` in the place of a lab's picture; draw anew when width or theme change. */
  function install(lab, parts) {
    lab.canvas = make("canvas", { role: "img", class: "softq-lab-canvas" });
    lab.readout = make("dl", { class: "softq-lab-readout" });
    const body = make("div", { class: "softq-lab-body" }, [lab.canvas, lab.readout, ...parts]);
    const still = lab.element.querySelector(".softq-lab-still");
    still.hidden = true;
    still.parentNode.insertBefore(body, still);
    new ResizeObserver(() => lab.draw()).observe(lab.canvas.parentNode);
    new MutationObserver(() => lab.draw()).observe(document.documentElement, {
      attributes: true, attributeFilter: ["data-theme"],
    });
  }

  /** A context on the lab's canvas, `width` by `height` in pixels of the page, sharp on any screen. */
  function surface(lab, width, height) {
    const ratio = window.devicePixelRatio || 1;
    lab.canvas.style.width = width + "px";
    lab.canvas.style.height = height + "px";
    lab.canvas.width = Math.round(width * ratio);
    lab.canvas.height = Math.round(height * ratio);
    const context = lab.canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "12px system-ui, sans-serif";
    return context;
  }

  function options(values, own) {
    return [...new Set([...values, own])].sort((a, b) => a - b).map((v) => [v, String(v)]);
  }

  Lab.prototype.set = function (name, value) {
    const s = this.settings;
    s[name] = value;
    if (name === "step") this.ownStep = true;
    if (name === "temperature" || name === "state") this.followStep();
    if (name === "seed" || name === "particles" || name === "state") this.reset();
    else if (name === "temperature") this.solve();
    this.refresh();
    this.toQuery();
  };

  Lab.prototype.refresh = function () {
    const law = this.law, seen = (this.seen = this.measure());
    this.showControls();
    this.showRows([
      ["Step", String(this.taken)],
      ["Mean value E[Q]", fixed(seen.mean, 3) + " (exact " + fixed(law.mean, 3) + ")"],
      ["Total variation", fixed(seen.tv, 2) + " (chance alone " + fixed(seen.floor, 2) + ")"],
      ["On a wall", (100 * seen.walls).toFixed(1) + " % (exact 0)"],
      ["Exact entropy", fixed(law.entropy, 2) + " nats"],
    ]);
    if (!this.running) {
      this.status.textContent = this.taken === 0 ? "Particles start uniform. Press Run." : "";
      this.describe("");
    }
    this.draw();
  };

  /** What the output beside a slider says. */
  Lab.prototype.spoken = function (name) {
    return tidy(this.settings[name]);
  };

  Lab.prototype.showControls = function () {
    for (const [name, control] of Object.entries(this.controls)) {
      const value = this.settings[name];
      if (!this.outputs[name]) control.value = value;
      else {
        control.value = Math.log10(value);
        control.setAttribute("aria-valuetext", this.spoken(name));
        this.outputs[name].textContent = this.spoken(name);
      }
    }
  };

  Lab.prototype.showRows = function (rows) {
    this.readout.replaceChildren(
      ...rows.map(([term, value]) => make("div", {}, [make("dt", { text: term }), make("dd", { text: value })])),
    );
  };

  /** The canvas in words; `first` comes before the temperature. */
  Lab.prototype.describe = function (first) {
    this.canvas.setAttribute("aria-label", this.data.alt + " Now: " + first + "temperature " +
      tidy(this.settings.temperature) + ", step " + this.taken + ", mean value " + this.seen.mean.toFixed(3) +
      ", exact " + this.law.mean.toFixed(3) + ".");
  };

  // -------------------------------------------------------------------------------------------------- drawing

  function palette(element) {
    const style = window.getComputedStyle(element), colours = {};
    for (const name of ["ink", "quiet", "surface", "exact", "particle", "third", "fourth"]) {
      colours[name] = style.getPropertyValue("--lab-" + name).trim();
    }
    return colours;
  }

  function rgb(hex) {
    return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  }

  Lab.prototype.draw = function () {
    if (!this.law) return;
    const width = Math.max(240, Math.min(this.dim === 1 ? 680 : 520, this.canvas.parentNode.clientWidth));
    const height = this.dim === 1 ? Math.round(Math.min(360, width * 0.62)) : width;
    const context = surface(this, width, height);
    const colours = palette(this.element);
    if (this.dim === 1) this.drawLine(context, width, height, colours);
    else this.drawSquare(context, width, height, colours);
  };

  /** One dimension: Q above, below it the exact density, the particles' histogram and the particles. */
  Lab.prototype.drawLine = function (c, width, height, colours) {
    const left = 12, right = width - 12, top = 20, middle = Math.round(height * 0.32), bottom = height - 24;
    const x = (a) => left + ((a + 1) / 2) * (right - left);
    const table = this.table(), n = this.cells, stride = 8;
    let low = Infinity, high = -Infinity, peak = 0;
    for (const q of table.values) [low, high] = [Math.min(low, q), Math.max(high, q)];
    const density = (i) => this.law.p[i] / table.volume;
    for (let i = 0; i < n; i++) peak = Math.max(peak, density(i));
    const bins = BINS[1], bar = (count) => (count / this.settings.particles) * (bins / 2);
    for (const count of this.seen.counts) peak = Math.max(peak, Math.min(bar(count), 2 * peak));

    const curve = (to) => {
      c.beginPath();
      for (let i = 0; i < n; i += stride) {
        const a = ((i + 0.5) * 2) / n - 1;
        if (i === 0) c.moveTo(x(a), to(i));
        else c.lineTo(x(a), to(i));
      }
    };
    c.lineWidth = 2;
    c.strokeStyle = colours.ink;
    curve((i) => middle - ((table.values[i] - low) / (high - low || 1)) * (middle - top - 4));
    c.stroke();

    const y = (p) => bottom - (p / (peak * 1.05)) * (bottom - middle - 34);
    c.fillStyle = colours.particle;
    c.globalAlpha = 0.45;
    this.seen.counts.forEach((count, b) => {
      const from = x((2 * b) / bins - 1), to = x((2 * (b + 1)) / bins - 1), level = Math.max(middle + 14, y(bar(count)));
      c.fillRect(from + 0.5, level, to - from - 1, bottom - level);
    });
    c.globalAlpha = 1;
    c.strokeStyle = colours.exact;
    c.lineWidth = 2.5;
    curve((i) => y(density(i)));
    c.stroke();

    c.fillStyle = colours.particle;
    c.globalAlpha = Math.min(1, 60 / this.settings.particles + 0.12);
    for (const a of this.particles) c.fillRect(x(a) - 0.75, bottom - 8, 1.5, 8);
    c.globalAlpha = 1;
    c.strokeStyle = colours.quiet;
    c.lineWidth = 1;
    c.strokeRect(left, 0.5, right - left, bottom - 0.5);
    c.fillStyle = colours.ink;
    c.textAlign = "left";
    c.fillText("value Q(a)", left + 6, 14);
    c.fillStyle = colours.exact;
    c.fillText("exact density", left + 6, middle + 22);
    c.fillStyle = colours.particle;
    c.fillText("particles", left + 12 + c.measureText("exact density").width + 8, middle + 22);
    this.ticks(c, x, bottom, colours);
  };

  Lab.prototype.ticks = function (c, x, bottom, colours) {
    c.fillStyle = colours.quiet;
    for (const a of [-1, -0.5, 0, 0.5, 1]) {
      c.textAlign = a === -1 ? "left" : a === 1 ? "right" : "center";
      c.fillText(String(a).replace("-", "\u2212"), x(a), bottom + 16);
    }
    c.textAlign = "left";
  };

  /** Two dimensions: colour and particles on the box, and beside it both marginals, exact and of the particles. */
  Lab.prototype.drawSquare = function (c, width, height, colours) {
    const band = Math.round(width * 0.16), left = 12, top = band + 4, right = width - band - 4, bottom = height - 24;
    const x = (a) => left + ((a + 1) / 2) * (right - left), y = (a) => bottom - ((a + 1) / 2) * (bottom - top);
    c.imageSmoothingEnabled = true;
    c.drawImage(this.heat(colours), left, top, right - left, bottom - top);
    c.fillStyle = colours.particle;
    c.strokeStyle = colours.surface;
    c.lineWidth = 0.6;
    const radius = this.settings.particles > 800 ? 1.6 : 2.4;
    for (let k = 0; k < this.settings.particles; k++) {
      c.beginPath();
      c.arc(x(this.particles[2 * k]), y(this.particles[2 * k + 1]), radius, 0, 2 * Math.PI);
      c.fill();
      c.stroke();
    }
    c.strokeStyle = colours.quiet;
    c.lineWidth = 1;
    c.strokeRect(left, top, right - left, bottom - top);
    this.marginal(c, 0, (a, p) => [x(a), top - 3 - p * (band - 8)], colours);
    this.marginal(c, 1, (a, p) => [right + 3 + p * (band - 8), y(a)], colours);
    this.ticks(c, x, bottom, colours);
  };

  /** The density of one coordinate at the midpoints of a square grid. */
  function marginalLaw(law, n, axis) {
    const density = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) density[axis === 0 ? i : j] += (law.p[i * n + j] * n) / 2;
    }
    return density;
  }

  Lab.prototype.marginal = function (c, axis, at, colours) {
    const n = this.cells, bins = 24, exact = marginalLaw(this.law, n, axis), counts = new Float64Array(bins);
    const m = this.settings.particles;
    for (let k = 0; k < m; k++) {
      const cell = Math.floor(((this.particles[2 * k + axis] + 1) / 2) * bins);
      counts[Math.min(bins - 1, cell)] += bins / (2 * m);
    }
    const peak = Math.max(...exact), scale = (p) => Math.min(1, p / (1.25 * peak));
    c.fillStyle = colours.particle;
    c.globalAlpha = 0.45;
    counts.forEach((p, b) => {
      const [x0, y0] = at((2 * b) / bins - 1, 0), [x1, y1] = at((2 * (b + 1)) / bins - 1, scale(p));
      c.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
    });
    c.globalAlpha = 1;
    c.strokeStyle = colours.exact;
    c.lineWidth = 2;
    c.beginPath();
    for (let i = 0; i < n; i++) {
      const [px, py] = at(((i + 0.5) * 2) / n - 1, scale(exact[i]));
      if (i === 0) c.moveTo(px, py);
      else c.lineTo(px, py);
    }
    c.stroke();
  };

  /** The box as an image, from the surface's colour to the exact law's; made anew only when something changed. */
  Lab.prototype.heat = function (colours) {
    const s = this.settings, key = [s.state, s.show, s.show === "density" && s.temperature, colours.surface].join();
    if (this.heatKey === key) return this.heatImage;
    const n = this.cells, image = make("canvas", { width: n, height: n }), context = image.getContext("2d");
    const pixels = context.createImageData(n, n), numbers = s.show === "density" ? this.law.p : this.table().values;
    let low = Infinity, high = -Infinity;
    for (const v of numbers) [low, high] = [Math.min(low, v), Math.max(high, v)];
    const from = rgb(colours.surface), to = rgb(colours.exact);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const share = Math.sqrt((numbers[i * n + j] - low) / (high - low || 1)) * 0.85;
        const offset = 4 * ((n - 1 - j) * n + i);
        for (let k = 0; k < 3; k++) pixels.data[offset + k] = from[k] + share * (to[k] - from[k]);
        pixels.data[offset + 3] = 255;
      }
    }
    context.putImageData(pixels, 0, 0);
    this.heatKey = key;
    this.heatImage = image;
    return image;
  };

  // -------------------------------------------------------------------------------------- mounting and testing

  const kinds = { temperature: Lab }; // softq-curves.js and softq-gallery.js add their own

  function mount(element) {
    const data = JSON.parse(element.querySelector("script[type='application/json']").textContent);
    while (data.id in labs) data.id += "x"; // the same lab shown twice
    element.id = data.id;
    labs[data.id] = new kinds[data.kind](element, data);
    element.dataset.ready = "true";
  }

  /** Settings, exact numbers and what the particles say. */
  Lab.prototype.report = function () {
    const seen = this.measure();
    return {
      settings: this.settings, taken: this.taken, running: this.running,
      exact: { mean: this.law.mean, entropy: this.law.entropy, logPartition: this.law.logPartition },
      particles: { mean: seen.mean, walls: seen.walls, tv: seen.tv, floor: seen.floor },
    };
  };

  window.softqLab = {
    kinds: kinds,
    kit: {
      landscape, grid, softmax, marginalLaw, generator, BOUNDARIES, WALLS, COLOURS,
      make, tidy, fixed, options, palette, install, surface,
    },
    ids: () => Object.keys(labs),
    reflect: reflect,
    /** Q, its gradient and the exact density at `actions` (a list of points), in the lab's current state. */
    evaluate: function (id, actions) {
      const lab = labs[id], q = lab.qs[lab.settings.state];
      const out = { q: [], grad: [], density: [] };
      for (const action of actions) {
        const grad = new Float64Array(lab.dim), value = q(Float64Array.from(action), grad);
        out.q.push(value);
        out.grad.push(Array.from(grad));
        out.density.push(Math.exp(value / lab.settings.temperature - lab.law.logPartition));
      }
      return out;
    },
    report: (id) => labs[id].report(),
    set: (id, name, value) => labs[id].set(name, value),
    /** Take `count` steps at once, without animation. */
    advance: function (id, count) {
      for (let i = 0; labs[id].move && i < count; i++) labs[id].move(); // labs of curves have no particles
      labs[id].refresh();
    },
  };

  function start() {
    document.querySelectorAll(".softq-lab").forEach(mount);
  }
  if (document.readyState === "complete") start();
  else document.addEventListener("DOMContentLoaded", start); // after every deferred script
})();
