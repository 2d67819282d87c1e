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
      return ["landscape", "sampler"];
    }

    get state() {
      return this.data.states.findIndex((row) => row.name === this.settings.landscape);
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

    restart() {
      const s = this.settings;
      const row = this.data.states[this.state];
      this.pending = null;
      this.found();
      this.e = ensemble(this.land, {
        n: s.particles, temperature: s.temperature, step: this.stepSize(), boundary: s.boundary,
        candidates: s.candidates, hottest: Math.max(4 * s.temperature, row.median_regret), constants: this.data.constants,
      }, generator(s.seed));
      samplers[s.sampler].start(this.e);
      this.particles = this.e.particles;
      this.taken = 0;
      this.asked = 0;
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
      for (const name of ["step", "boundary", "candidates"]) this.hideControl(name, !this.sampler.uses.includes(name));
      this.hideControl("show", this.dim === 1);
      this.note.textContent = this.sampler.note;
      super.refresh();
    }

    statusText() {
      if (this.taken === 0) return super.statusText();
      const spent = "Step " + this.taken + ", " + this.price(this.taken) + " evaluations an action";
      return this.taken < this.length ? spent + "." : "Complete after step " + this.taken + ", " +
        this.price(this.taken) + " evaluations an action. Reset begins again, another seed draws others.";
    }

    get subject() {
      return this.sampler.text + " on " + this.settings.landscape + ", ";
    }

    readouts() {
      const { law, seen } = this, costs = this.costs();
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
      return Object.assign(report, { step: this.e.step, costs: this.costs(), length: this.sampler.length });
    }
  }

  register("gallery", GalleryLab);
  window.softqLab.gallery = { maths, samplers, trace };
})();
