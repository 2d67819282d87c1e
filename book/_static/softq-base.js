/* What all of softq's labs share: controls from data, the address, the canvas and its pointer, the readout, motion.
 *
 * `softq/lab` writes a lab as <div class="softq-lab" data-kind="..."> with its data inside, and the script
 * softq-lab-<kind>.js registers the class that draws it: `softqLab.register("kind", class extends softqLab.Lab {...})`.
 * Nothing is fetched, and nothing moves before the reader asks for it. Needs softq-kit.js before it.
 */
(function () {
  "use strict";

  const labs = {}, kinds = {};
  const MARK = "#softq?"; // before the settings of a page that was opened as a file
  const DASHES = { line: [], dash: [7, 4], dot: [2, 3], dashdot: [7, 3, 2, 3] };
  const MINUS = "\u2212";

  // ------------------------------------------------------------------------------------------------ small helpers

  /** A new element; the attribute "text" is its text. */
  function make(tag, attributes, children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "text") node.textContent = value;
      else node.setAttribute(name, value);
    }
    for (const child of children || []) node.append(child);
    return node;
  }

  /** Three significant digits. */
  function tidy(value) {
    return String(Number(value.toPrecision(3)));
  }

  /** Three significant digits with a typographic minus. */
  function numeral(value) {
    return tidy(value).replace("-", MINUS);
  }

  function fixed(value, digits) {
    return value.toFixed(digits).replace("-", MINUS);
  }

  // --------------------------------------------------------------------------------------------------- axes

  /** Axes on the canvas: a box in pixels, the limits of x and y, and the ways between both. */
  class Frame {
    constructor(name, box, xlim, ylim, log) {
      Object.assign(this, box); // left, right, top, bottom
      this.name = name;
      this.xlim = xlim;
      this.ylim = ylim;
      this.log = log || [false, false];
    }

    x(v) {
      return this.left + share(v, this.xlim, this.log[0]) * (this.right - this.left);
    }

    y(v) {
      return this.bottom - share(v, this.ylim, this.log[1]) * (this.bottom - this.top);
    }

    /** The point of the data under a point of the canvas, inside the limits. */
    data(px, py) {
      const u = Math.min(1, Math.max(0, (px - this.left) / (this.right - this.left)));
      const v = Math.min(1, Math.max(0, (this.bottom - py) / (this.bottom - this.top)));
      return { x: unshare(u, this.xlim, this.log[0]), y: unshare(v, this.ylim, this.log[1]) };
    }

    holds(px, py) {
      return px >= this.left && px <= this.right && py >= this.top && py <= this.bottom;
    }
  }

  function share(v, [low, high], log) {
    return log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low);
  }

  function unshare(u, [low, high], log) {
    return log ? low * Math.pow(high / low, u) : low + u * (high - low);
  }

  // --------------------------------------------------------------------------------------------------- the base

  /** A lab. Its kind defines some of `prepare`, `start`, `changed`, `refresh`, `draw`, `handles` and `onPointer`. */
  class Lab {
    constructor(element, data, index) {
      this.element = element;
      this.data = data;
      this.id = data.id;
      this.prefix = index ? index + 1 + "." : ""; // of the names in the address, which the labs of a page share
      this.specs = data.controls;
      this.settings = Object.assign({}, data.settings);
      this.first = Object.assign({}, data.settings);
      this.following = new Set(); // settings that go by others, and are not in the address, until the reader sets them
      this.controls = {};
      this.outputs = {};
      this.buttons = {};
      this.frames = [];
      this.cursor = null; // where the pointer or the keyboard points: {frame, x, y}
      this.running = false;
      const reduced = window.matchMedia("(prefers-reduced-motion: reduce)");
      this.still = reduced.matches;
      reduced.addEventListener("change", () => (this.still = reduced.matches));
    }

    // What a kind may define

    /** Tables from `this.data`, made once, before the settings are read from the address. */
    prepare() {}

    /** The first picture. */
    start() {
      this.refresh();
    }

    /** The setting `name` has a new value; `refresh` follows. */
    changed(_name) {}

    /** Compute everything anew and show it: `showControls`, `showRows`, `describe`, `redraw`. */
    refresh() {
      this.showControls();
      this.redraw();
    }

    /** The height of the canvas in pixels of the page at this width. */
    height(width) {
      return Math.round(Math.min(360, width * 0.62));
    }

    /** The largest useful width of the canvas. */
    get widest() {
      return 760;
    }

    /** Draw on the context `c`; frames that answer to the pointer are added with `this.frame(...)`. */
    draw(_c, _width, _height, _colours) {}

    /** Things that can be dragged: [{name, label, frame, x, y, text}], `text` for who cannot see where they are. */
    handles() {
      return [];
    }

    /** The handle `name` was dragged, or moved by arrow keys, to x, y. */
    onHandle(_name, _x, _y) {}

    /** Whether the canvas itself answers to pointer and keyboard. */
    get points() {
      return false;
    }

    /** A pointer, or the keyboard, at x, y of a frame: `type` is "hover", "leave", "drag" or "click". */
    onPointer(_event) {}

    /** What is at the cursor, in words. */
    hover(_cursor) {
      return "";
    }

    /** Names of the controls that stand above the canvas. */
    get above() {
      return [];
    }

    /** Buttons: [[name, text, action], ...]. */
    actions() {
      return [["reset", "Reset", () => this.restore()]];
    }

    /** What an output beside a slider says. */
    spoken(name) {
      return tidy(this.settings[name]);
    }

    /** Further parameters of the address. */
    readMore(_query) {}

    writeMore(_query) {}

    /** Settings, exact numbers and whatever tests want to know. */
    report() {
      return { settings: this.settings };
    }

    // Settings

    begin() {
      this.prepare();
      this.readAddress();
      this.build();
      this.start();
    }

    spec(name) {
      return this.specs.find((spec) => spec.name === name);
    }

    /** The nearest value that the control can take to `value`, a text or a number; its own for what is no value. */
    fit(spec, value) {
      const own = this.settings[spec.name];
      if (spec.type === "toggle") {
        return ["true", "1"].includes(String(value)) || (["false", "0"].includes(String(value)) ? false : own);
      }
      if (spec.type === "choice") {
        const found = spec.options.find(([option]) => String(option) === String(value));
        return found ? found[0] : own;
      }
      const number = typeof value === "string" ? parseFloat(value) : value;
      if (typeof number !== "number" || !Number.isFinite(number)) return own;
      const inside = Math.min(spec.high, Math.max(spec.low, number));
      return spec.integer ? Math.round(inside) : inside;
    }

    /** Give a setting a value, as a control does. */
    set(name, value) {
      const spec = this.spec(name);
      if (!spec) return;
      this.settings[name] = this.fit(spec, value);
      this.following.delete(name);
      this.changed(name);
      this.refresh();
      this.writeAddress();
    }

    /** The settings with which the page was opened. */
    restore() {
      Object.assign(this.settings, this.opened);
      for (const name of Object.keys(this.settings)) this.changed(name);
      this.refresh();
      this.writeAddress();
    }

    // The address

    readAddress() {
      const query = kept();
      for (const spec of this.specs) {
        const text = query.get(this.prefix + spec.name);
        if (text === null) continue;
        this.settings[spec.name] = this.fit(spec, text);
        this.following.delete(spec.name);
      }
      this.readMore(query);
      this.opened = Object.assign({}, this.settings);
    }

    /** Keep the settings in the address, so that a view can be sent on; a page opened as a file has them in its hash. */
    writeAddress() {
      const now = Date.now();
      this.written = (this.written || []).filter((time) => now - time < 10000);
      window.clearTimeout(this.later);
      if (this.written.length > 60) {
        // browsers refuse more than some hundred changes in a few seconds, which a dragged slider makes
        this.later = window.setTimeout(() => this.writeAddress(), 400);
        return;
      }
      this.written.push(now);
      const query = kept();
      for (const spec of this.specs) {
        const key = this.prefix + spec.name;
        if (this.following.has(spec.name)) query.delete(key);
        else query.set(key, this.settings[spec.name]);
      }
      this.writeMore(query);
      if (!window.location.protocol.startsWith("http")) window.history.replaceState(null, "", MARK + query);
      else window.history.replaceState(null, "", "?" + query + window.location.hash);
    }

    // Controls

    build() {
      const above = this.specs.filter((spec) => this.above.includes(spec.name));
      const below = this.specs.filter((spec) => !this.above.includes(spec.name));
      this.canvas = make("canvas", { role: "img", class: "softq-lab-canvas" });
      this.stage = make("div", { class: "softq-lab-stage" }, [this.canvas]);
      this.readout = make("dl", { class: "softq-lab-readout" });
      this.row = make("div", { class: "softq-lab-buttons" });
      for (const [name, text, action] of this.actions()) this.addButton(name, text, action);
      this.status = make("span", { class: "softq-lab-status", role: "status" });
      this.row.append(this.status);
      const body = make("div", { class: "softq-lab-body" });
      if (above.length) body.append((this.picker = this.panel(above, "What the figure shows")));
      body.append(this.stage);
      if (this.points) {
        this.hovered = make("p", { class: "softq-lab-hover" });
        body.append(this.hovered);
      }
      body.append(this.row, this.readout, this.panel(below, "Controls of the figure"));
      const still = this.element.querySelector(".softq-lab-still");
      still.hidden = true;
      still.parentNode.insertBefore(body, still);
      if (this.points) this.listen();
      new ResizeObserver(() => this.redraw()).observe(body);
      new MutationObserver(() => {
        this.colours = null;
        this.redraw();
      }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    }

    addButton(name, text, action) {
      this.buttons[name] = make("button", { type: "button", text: text });
      this.buttons[name].addEventListener("click", action);
      this.row.append(this.buttons[name]);
    }

    panel(specs, label) {
      const panel = make("div", { class: "softq-lab-controls", role: "group", "aria-label": label });
      panel.append(...specs.map((spec) => this.control(spec)));
      return panel;
    }

    control(spec) {
      const id = this.id + "-" + spec.name, label = spec.label.charAt(0).toUpperCase() + spec.label.slice(1);
      const control = this.input(spec);
      control.id = id;
      this.controls[spec.name] = control;
      const parts = [make("label", { for: id, text: label }), control];
      const wide = spec.type === "slider";
      if (wide) parts.push((this.outputs[spec.name] = make("output", { for: id })));
      if (spec.help) {
        parts.push(make("small", { id: id + "-help", text: spec.help }));
        control.setAttribute("aria-describedby", id + "-help");
      }
      return make("div", { class: "softq-lab-control" + (wide ? " softq-lab-wide" : "") }, parts);
    }

    input(spec) {
      const listen = (node, event, value) => {
        node.addEventListener(event, () => this.set(spec.name, value(node)));
        return node;
      };
      if (spec.type === "toggle") return listen(make("input", { type: "checkbox" }), "change", (node) => node.checked);
      if (spec.type === "choice" || (spec.offered && spec.offered.length)) {
        const select = make("select"), options = spec.options || spec.offered.map((v) => [v, String(v)]);
        for (const [value, text] of options) select.append(make("option", { value: value, text: text }));
        return listen(select, "change", (node) => node.value);
      }
      if (spec.type === "integer") {
        const field = make("input", { type: "number", min: spec.low, max: spec.high, step: 1 });
        return listen(field, "change", (node) => node.value);
      }
      const [low, high] = [spec.low, spec.high].map((v) => (spec.log ? Math.log10(v) : v));
      const step = spec.integer && !spec.log ? 1 : (high - low) / (spec.log ? 120 : 200);
      const input = make("input", { type: "range", min: low, max: high, step: step });
      // what the slider says is what is computed with
      return listen(input, "input", (node) => Number(tidy(spec.log ? Math.pow(10, node.value) : Number(node.value))));
    }

    showControls() {
      for (const spec of this.specs) {
        const control = this.controls[spec.name], value = this.settings[spec.name];
        if (spec.type === "toggle") control.checked = value;
        else if (spec.type === "slider") {
          control.value = spec.log ? Math.log10(value) : value;
          control.setAttribute("aria-valuetext", this.spoken(spec.name));
          this.outputs[spec.name].textContent = this.spoken(spec.name);
        } else {
          if (spec.offered && ![...control.options || []].some((option) => option.value === String(value))) {
            if (control.tagName === "SELECT") control.append(make("option", { value: value, text: String(value) }));
          }
          control.value = value;
        }
      }
    }

    /** Hide the controls that do not matter now. */
    hideControl(name, hidden) {
      if (this.controls[name]) this.controls[name].parentNode.hidden = hidden;
    }

    showRows(rows) {
      this.readout.replaceChildren(
        ...rows.map(([term, value]) => make("div", {}, [make("dt", { text: term }), make("dd", { text: value })])),
      );
    }

    /** What the canvas shows now, for who cannot see it. */
    describe(words) {
      this.canvas.setAttribute("aria-label", this.data.alt + " Now: " + words);
    }

    // The canvas

    redraw() {
      if (!this.canvas || !this.opened) return;
      const room = this.stage.parentNode.clientWidth;
      if (!room) return;
      const width = Math.max(240, Math.min(this.widest, room)), height = this.height(width);
      const c = this.surface(width, height);
      if (!this.colours) this.colours = this.palette();
      this.frames = [];
      this.draw(c, width, height, this.colours);
      this.placeHandles();
    }

    /** A cleared context, `width` by `height` in pixels of the page, sharp on any screen. */
    surface(width, height) {
      const ratio = window.devicePixelRatio || 1, w = Math.round(width * ratio), h = Math.round(height * ratio);
      if (this.canvas.width !== w || this.canvas.height !== h) {
        this.canvas.width = w;
        this.canvas.height = h;
        for (const style of [this.canvas.style, this.stage.style]) {
          style.width = width + "px";
          style.height = height + "px";
        }
      }
      if (!this.context) this.context = this.canvas.getContext("2d");
      const c = this.context;
      c.setTransform(ratio, 0, 0, ratio, 0, 0);
      c.clearRect(0, 0, width, height);
      c.font = "12px system-ui, sans-serif";
      c.setLineDash([]);
      c.globalAlpha = 1;
      return c;
    }

    /** The colours of the roles of softq.plots in the theme of the page. */
    palette() {
      const style = window.getComputedStyle(this.element), colours = {};
      for (const name of ["ink", "quiet", "surface", "exact", "sample", "third", "fourth", "fifth", "sixth"]) {
        colours[name] = style.getPropertyValue("--lab-" + name).trim();
      }
      return colours;
    }

    /** Colour and dashes of a concept of softq.plots.CONCEPTS. */
    look(concept) {
      const [role, style] = this.data.looks[concept];
      return { colour: this.colours[role], dash: DASHES[style] };
    }

    /** Axes in a box {left, right, top, bottom}; what is drawn last is found first by the pointer. */
    frame(name, box, xlim, ylim, log) {
      const frame = new Frame(name, box, xlim, ylim, log);
      this.frames.unshift(frame);
      return frame;
    }

    /** Draw by `draw()` what lies within the axes; a line may leave them. */
    within(c, frame, draw) {
      c.save();
      c.beginPath();
      c.rect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top);
      c.clip();
      draw();
      c.restore();
    }

    /** A goal: a star around the pixel (x, y). */
    drawGoal(c, x, y) {
      c.fillStyle = this.look("goal").colour;
      c.beginPath();
      for (let i = 0; i < 10; i++) {
        const angle = (Math.PI * i) / 5 - Math.PI / 2, size = i % 2 ? 4 : 10;
        c.lineTo(x + size * Math.cos(angle), y + size * Math.sin(angle));
      }
      c.fill();
    }

    // Pointer, touch and keyboard on the canvas

    at(event) {
      const box = this.canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    }

    listen() {
      const canvas = this.canvas;
      let held = null;
      canvas.tabIndex = 0;
      canvas.classList.add("softq-lab-points");
      const tell = (type, frame, px, py, extra) => {
        const cursor = Object.assign({ frame: frame.name }, frame.data(px, py));
        this.cursor = cursor;
        this.onPointer(Object.assign({ type: type }, cursor, extra));
        this.showHover();
      };
      canvas.addEventListener("pointerdown", (event) => {
        const [px, py] = this.at(event), frame = this.frames.find((f) => f.holds(px, py));
        if (!frame || event.button) return;
        held = { name: frame.name, px: px, py: py, moved: false };
        canvas.setPointerCapture(event.pointerId);
      });
      canvas.addEventListener("pointermove", (event) => {
        const [px, py] = this.at(event);
        const frame = this.frames.find((f) => (held ? f.name === held.name : f.holds(px, py)));
        if (!frame) {
          if (this.cursor) this.leave();
          return;
        }
        if (held && Math.hypot(px - held.px, py - held.py) > 4) held.moved = true;
        tell(held && held.moved ? "drag" : "hover", frame, px, py, {});
      });
      canvas.addEventListener("pointerup", (event) => {
        const [px, py] = this.at(event), frame = held && this.frames.find((f) => f.name === held.name);
        const type = held && held.moved ? "drop" : "click";
        held = null;
        if (frame) tell(type, frame, px, py, {});
        if (event.pointerType !== "mouse") this.leave();
      });
      canvas.addEventListener("pointercancel", () => {
        held = null;
        this.leave();
      });
      canvas.addEventListener("pointerleave", () => {
        if (!held) this.leave();
      });
      canvas.addEventListener("blur", () => this.leave());
      canvas.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        const act = event.key === "Enter" || event.key === " ";
        if (!move && !act) return;
        event.preventDefault();
        let frame = this.cursor && this.frames.find((f) => f.name === this.cursor.frame);
        let px, py;
        if (frame) [px, py] = [frame.x(this.cursor.x), frame.y(this.cursor.y)];
        else {
          frame = this.frames[this.frames.length - 1];
          if (!frame) return;
          [px, py] = [(frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2];
        }
        const far = event.shiftKey ? 2 : 10;
        if (move) [px, py] = [px + far * move[0], py + far * move[1]];
        tell(act ? "click" : "hover", frame, px, py, { keyboard: true });
      });
    }

    leave() {
      if (!this.cursor) return;
      this.cursor = null;
      this.onPointer({ type: "leave" });
      this.showHover();
    }

    /** Write what is at the cursor below the canvas. */
    showHover() {
      this.hovered.textContent = this.cursor ? this.hover(this.cursor) : "";
    }

    /** A small cross where the keyboard or the pointer is. */
    drawCursor(c, colours) {
      const frame = this.cursor && this.frames.find((f) => f.name === this.cursor.frame);
      if (!frame) return;
      const px = frame.x(this.cursor.x), py = frame.y(this.cursor.y);
      c.strokeStyle = colours.ink;
      c.lineWidth = 1;
      c.beginPath();
      c.moveTo(px - 7, py);
      c.lineTo(px + 7, py);
      c.moveTo(px, py - 7);
      c.lineTo(px, py + 7);
      c.stroke();
    }

    /** Each handle is a slider of its own over the canvas: it can be dragged, touched, focused and moved by arrows. */
    placeHandles() {
      const wanted = this.handles();
      if (!this.grips) this.grips = new Map();
      for (const [name, grip] of this.grips) {
        if (wanted.some((handle) => handle.name === name)) continue;
        grip.remove();
        this.grips.delete(name);
      }
      for (const handle of wanted) {
        const frame = this.frames.find((f) => f.name === handle.frame);
        if (!frame) continue;
        if (!this.grips.has(handle.name)) this.grips.set(handle.name, this.grip(handle.name));
        const grip = this.grips.get(handle.name);
        grip.handle = handle;
        grip.style.left = frame.x(handle.x) + "px";
        grip.style.top = frame.y(handle.y) + "px";
        const said = handle.text || tidy(handle.x) + ", " + tidy(handle.y);
        grip.setAttribute("aria-label", handle.label);
        grip.setAttribute("aria-valuetext", said);
        const { now = handle.x, low = frame.xlim[0], high = frame.xlim[1] } = handle;
        grip.setAttribute("aria-valuenow", String(Number(now.toFixed(6))));
        grip.setAttribute("aria-valuemin", low);
        grip.setAttribute("aria-valuemax", high);
        grip.title = handle.label + ": " + said;
      }
    }

    grip(name) {
      const grip = make("span", { class: "softq-lab-grip", role: "slider", tabindex: "0" });
      let held = null;
      const release = () => (held = null);
      const frameOf = () => this.frames.find((f) => f.name === grip.handle.frame);
      grip.addEventListener("pointerdown", (event) => {
        const [px, py] = this.at(event), frame = frameOf();
        held = [px - frame.x(grip.handle.x), py - frame.y(grip.handle.y)];
        grip.setPointerCapture(event.pointerId);
      });
      grip.addEventListener("pointermove", (event) => {
        if (!held) return;
        const [px, py] = this.at(event), point = frameOf().data(px - held[0], py - held[1]);
        this.onHandle(name, point.x, point.y);
      });
      for (const type of ["pointerup", "pointercancel"]) grip.addEventListener(type, release);
      grip.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!move) return;
        event.preventDefault();
        const frame = frameOf(), far = event.shiftKey ? 2 : 8;
        const point = frame.data(frame.x(grip.handle.x) + far * move[0], frame.y(grip.handle.y) + far * move[1]);
        this.onHandle(name, point.x, point.y);
      });
      this.stage.append(grip);
      return grip;
    }

    // Motion

    /** Call `frame` before each repaint until it returns false, or until `halt`. An earlier loop ends. */
    loop(frame) {
      const turn = (this.turn = {});
      this.running = true;
      const next = () => {
        if (this.turn !== turn || !this.running) return;
        if (frame() === false) {
          this.halt();
          return;
        }
        window.requestAnimationFrame(next);
      };
      return next;
    }

    halt() {
      this.running = false;
      this.turn = null;
    }
  }

  /** The parameters of the address: of its query, and of what a page opened as a file keeps in the hash. */
  function kept() {
    const query = new URLSearchParams(window.location.search), { hash } = window.location;
    if (hash.startsWith(MARK)) {
      for (const [name, value] of new URLSearchParams(hash.slice(MARK.length))) query.set(name, value);
    }
    return query;
  }

  // -------------------------------------------------------------------------------------- mounting and testing

  function mount(element, index) {
    const data = JSON.parse(element.querySelector("script[type='application/json']").textContent);
    if (!(data.kind in kinds)) throw new Error("no script of the kind " + data.kind);
    while (data.id in labs) data.id += "x"; // the same lab shown twice
    element.id = data.id;
    labs[data.id] = new kinds[data.kind](element, data, index);
    labs[data.id].begin();
    element.dataset.ready = "true";
  }

  window.softqLab = {
    Lab, Frame, kinds, make, tidy, numeral, fixed, DASHES,
    register: function (kind, lab) {
      kinds[kind] = lab;
    },
    ids: () => Object.keys(labs),
    lab: (id) => labs[id],
    reflect: window.softqKit.reflect,
    /** Q, its gradient and the exact density at `actions` (a list of points), in the lab's current state. */
    evaluate: (id, actions) => labs[id].evaluate(actions),
    report: (id) => labs[id].report(),
    set: (id, name, value) => labs[id].set(name, value),
    /** Take `count` steps at once, without animation. */
    advance: function (id, count) {
      for (let i = 0; labs[id].move && i < count; i++) labs[id].move(); // labs of curves have no particles
      labs[id].refresh();
    },
  };

  function begin() {
    document.querySelectorAll(".softq-lab").forEach(mount);
  }
  if (document.readyState === "complete") begin();
  else document.addEventListener("DOMContentLoaded", begin); // after every deferred script
})();
