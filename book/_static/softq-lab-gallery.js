/* softq's gallery: every landscape, every sampler, computed in the page.
 *
 * The class `GalleryLab` of softq/lab/gallery.py. Every change of a control starts the sampler anew and takes as many
 * steps as before, so a picture depends on the settings alone.
 */
(function () {
  "use strict";

  const { ParticleLab, register, make, tidy, fixed } = window.softqLab;
  const { generator } = window.softqKit;
  const { maths, samplers, ensemble, trace } = window.softqSamplers;

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

    readMore(query) {
      this.found();
      super.readMore(query);
      this.askedFor = Math.min(this.spec("steps").high, Math.floor(parseFloat(query.get(this.prefix + "at"))) || 0);
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
      if (this.askedFor > 0) this.run(this.askedFor, true);
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
      return true;
    }

    changed(name) {
      if (name === "show" || name === "steps") return;
      const until = this.running ? this.target : this.taken;
      this.halt();
      this.restart();
      this.run(until, true);
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
