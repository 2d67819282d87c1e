/* softq's gallery: every landscape, every sampler, computed in the page.
 *
 * The class `GalleryLab` of softq/lab/gallery.py. Every change of a control starts the sampler anew and spends as
 * many evaluations as before, so a picture depends on the settings alone and samplers compare at one price.
 */
(function () {
  "use strict";

  const { ParticleLab, register, make, tidy, fixed } = window.softqLab;
  const { generator } = window.softqKit;
  const { maths, samplers, ensemble, trace } = window.softqSamplers;

  const SHORT = 560; // narrower than this, two pictures stand below one another
  const NAME = 18; // pixels for the name of a sampler
  const MOST = 2000; // steps that a link can ask for

  class GalleryLab extends ParticleLab {
    prepare() {
      this.useLandscapes(this.data.states.map((state) => state.landscape));
      this.found();
    }

    get cells() {
      return this.dim === 1 ? 4000 : 240;
    }

    get above() {
      return ["landscape", "sampler", "beside"];
    }

    get state() {
      return this.data.states.findIndex((row) => row.name === this.settings.landscape);
    }

    // A second sampler beside the first, from the same seed and at the same price

    get paired() {
      return this.settings.beside !== "none";
    }

    startTwin() {
      const s = this.settings;
      this.twin = null;
      if (!this.paired) return;
      const shown = s.sampler, twin = { name: s.beside, taken: 0 };
      s.sampler = s.beside; // step size and prices are those of the sampler that is set
      twin.e = ensemble(this.land, this.given(), generator(s.seed));
      [twin.start, twin.step] = this.sampler.prices[s.candidates];
      twin.length = this.length;
      s.sampler = shown;
      samplers[twin.name].start(twin.e);
      this.twin = twin;
    }

    /** The second sampler takes the steps that so many evaluations pay for. */
    moveTwin(evaluations) {
      const { twin } = this;
      if (!twin) return;
      while (twin.taken < twin.length && twin.start + twin.step * (twin.taken + 1) <= evaluations) {
        samplers[twin.name].step(twin.e);
        twin.e.taken = twin.taken += 1;
      }
    }

    /** Do something with the second sampler's particles in the place of the first one's. */
    asTwin(action) {
      const kept = this.particles;
      this.particles = this.twin.e.particles;
      try {
        return action();
      } finally {
        this.particles = kept;
      }
    }

    get widest() {
      return this.paired ? 900 : super.widest;
    }

    height(width) {
      if (!this.paired) return super.height(width);
      return width < SHORT ? 2 * super.height(width) + 2 * NAME : super.height(width / 2) + NAME;
    }

    draw(c, width, height, colours) {
      if (!this.law || !this.paired || !this.twin) {
        super.draw(c, width, height, colours);
        return;
      }
      const below = width < SHORT, w = below ? width : width / 2, h = (below ? height / 2 : height) - NAME;
      const pane = (name, x, y, text) => {
        this.corner = { x: x, y: y + NAME, name: name };
        c.fillStyle = colours.ink;
        c.fillText(text, x + 26, y + 12);
        this.drawPane(c, w, h, colours);
      };
      pane("", 0, 0, this.sampler.text);
      this.asTwin(() => {
        const kept = this.seen;
        this.seen = this.seenTwin;
        pane(" 2", below ? 0 : w, below ? h + NAME : 0, this.data.samplers[this.twin.name].text);
        this.seen = kept;
      });
      this.drawCursor(c, colours);
    }

    measure() {
      const { twin } = this;
      if (twin && this.particles !== twin.e.particles) this.seenTwin = this.asTwin(() => super.measure());
      return super.measure();
    }

    found() {
      this.dim = this.land.dim;
    }

    reshaped() {
      this.changed("landscape");
    }

    get sampler() {
      return this.data.samplers[this.settings.sampler];
    }

    get length() {
      return this.sampler.length || Infinity;
    }

    /** The most steps whose values and gradients, counted alike, are within so many evaluations an action. */
    stepsWithin(evaluations) {
      const [start, step] = this.sampler.prices[this.settings.candidates];
      return Math.min(this.length, Math.max(1, Math.floor((evaluations - start) / step)));
    }

    /** Evaluations an action after so many steps. */
    price(steps) {
      const [start, step] = this.sampler.prices[this.settings.candidates];
      return start + step * steps;
    }

    actions() {
      const [run, ...others] = super.actions();
      const more = () => this.run(this.stepsWithin((this.taken ? this.asked : 0) + this.settings.budget), this.still);
      return [[run[0], run[1], () => (this.running ? this.pause() : more())], ...others];
    }

    run(target, still) {
      if (!this.again && target > this.taken) this.asked = (this.taken ? this.asked : 0) + this.settings.budget;
      super.run(target, still);
    }

    pause() {
      if (this.taken < this.target) this.asked = this.price(this.taken); // the rest was not spent
      else this.moveTwin(this.asked); // also where the first sampler is complete before all is spent
      super.pause();
    }

    readMore(query) {
      this.found();
      super.readMore(query);
      this.linked = Math.min(MOST, Math.floor(parseFloat(query.get(this.prefix + "at"))) || 0);
    }

    writeMore(query) {
      super.writeMore(query);
      query.set(this.prefix + "at", this.taken);
    }

    build() {
      super.build();
      this.note = make("p", { class: "softq-lab-note", id: this.id + "-note" });
      this.controls.sampler.setAttribute("aria-describedby", this.note.id);
      this.picker.append(this.note);
    }

    start() {
      this.restart();
      this.refresh();
      if (this.linked > 0) this.replay(this.linked);
    }

    /** The step in absolute units: a multiple of the sampler's own, which follows temperature and curvature. */
    stepSize() {
      const s = this.settings, { sampler } = this, bend = this.data.states[this.state].curvature;
      const follows = sampler.factor === null ? Infinity : (sampler.factor * s.temperature) / bend;
      return Math.min(sampler.largest || Infinity, s.step * Math.min(sampler.cap, follows));
    }

    /** What a sampler may ask for. */
    given() {
      const s = this.settings, row = this.data.states[this.state];
      return {
        n: s.particles, temperature: s.temperature, step: this.stepSize(), boundary: s.boundary,
        candidates: s.candidates, hottest: Math.max(4 * s.temperature, row.median_regret), constants: this.data.constants,
      };
    }

    restart() {
      const s = this.settings;
      this.pending = null;
      this.found();
      this.e = ensemble(this.land, this.given(), generator(s.seed));
      samplers[s.sampler].start(this.e);
      this.particles = this.e.particles;
      this.taken = 0;
      this.asked = 0;
      this.startTwin();
      this.solve();
    }

    move() {
      if (this.taken < this.length) this.moveUntil(Infinity);
    }

    /** A sampler whose step takes long has `slices`, a generator that stops now and then. */
    moveUntil(until) {
      const sampler = samplers[this.settings.sampler];
      if (sampler.slices) {
        if (!this.pending) this.pending = sampler.slices(this.e);
        while (!this.pending.next().done) if (window.performance.now() > until) return false;
        this.pending = null;
      } else sampler.step(this.e);
      this.particles = this.e.particles;
      this.e.taken = this.taken += 1;
      this.asked = Math.max(this.asked, this.price(this.taken));
      this.moveTwin(this.price(this.taken));
      return true;
    }

    changed(name) {
      if (name === "show" || name === "budget") return;
      const begun = this.taken > 0 || this.running, { asked } = this;
      this.halt();
      this.restart();
      this.asked = asked;
      this.replay(begun ? this.stepsWithin(asked) : 0);
    }

    /** Take so many steps at once, and draw the last. */
    replay(steps) {
      this.again = true; // the reader asked for these before
      this.run(steps, true);
      this.again = false;
    }

    /** The slider multiplies the sampler's own step; what it says is the product. */
    spoken(name) {
      return name === "step" ? tidy(this.e.step) : super.spoken(name);
    }

    costs() {
      const { values, gradients } = this.e.calls, n = this.settings.particles;
      return { values: values / n, gradients: gradients / n };
    }

    refresh() {
      if (this.computing && this.taken < this.target) {
        this.showControls();
        this.say("Computing " + this.target + " steps \u2026");
        return;
      }
      const uses = [this.sampler, ...(this.paired ? [this.data.samplers[this.settings.beside]] : [])].flatMap((x) => x.uses);
      for (const name of ["step", "boundary", "candidates"]) this.hideControl(name, !uses.includes(name));
      this.hideControl("show", this.dim === 1);
      this.note.textContent = this.sampler.note;
      super.refresh();
    }

    statusText() {
      if (this.taken === 0) return this.price(0) > 1 ? "Particles are at their start. Press Run." : super.statusText();
      const spent = "Step " + this.taken + ", " + this.price(this.taken) + " evaluations an action";
      return this.taken < this.length ? spent + "." : "Complete after step " + this.taken + ", " +
        this.price(this.taken) + " evaluations an action. Reset begins again, another seed draws others.";
    }

    get subject() {
      return this.sampler.text + " on " + this.settings.landscape + ", ";
    }

    readouts() {
      const { law, seen } = this, costs = this.costs(), rows = this.ownReadouts(law, seen, costs);
      if (!this.twin) return rows;
      const other = this.seenTwin, { values, gradients } = this.twin.e.calls, n = this.settings.particles;
      return [
        ...rows,
        ["Beside: E[Q]", fixed(other.mean, 3)],
        ["Beside: total variation", fixed(other.tv, 2)],
        ["Beside: cost of an action", values / n + " Q, " + gradients / n + " gradients"],
      ];
    }

    ownReadouts(law, seen, costs) {
      return [
        ["Step", this.taken + (this.sampler.length ? " of " + this.sampler.length : "")],
        ["Mean value E[Q]", fixed(seen.mean, 3) + " (exact " + fixed(law.mean, 3) + ")"],
        ["Total variation", fixed(seen.tv, 2) + " (exact draws " + fixed(seen.floor, 2) + ")"],
        ["Exact entropy", fixed(law.entropy, 2) + " nats"],
        ["On a wall", (100 * seen.walls).toFixed(1) + " % (exact 0)"],
        ["Cost of an action", costs.values + " Q, " + costs.gradients + " gradients"],
      ];
    }

    /** Settings, exact numbers with their marginals, and what the particles say. */
    report() {
      const report = super.report(), n = this.cells;
      report.exact.marginals = this.dim === 1 ? [Array.from(this.law.p, (p) => (p * n) / 2)]
        : this.marginals.map((density) => Array.from(density));
      report.settings = Object.assign({ state: this.state }, report.settings);
      if (this.twin) {
        const { mean, tv } = this.asTwin(() => super.measure()), { values, gradients } = this.twin.e.calls;
        report.beside = { mean: mean, tv: tv, taken: this.twin.taken, cost: (values + gradients) / this.settings.particles };
      }
      return Object.assign(report, { step: this.e.step, costs: this.costs(), length: this.sampler.length });
    }
  }

  register("gallery", GalleryLab);
  window.softqLab.gallery = { maths, samplers, trace };
})();
