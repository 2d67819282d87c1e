/* softq's labs of curves: panels of lines in the looks of softq.plots, and numbers below them.
 *
 * A kind is a class with `view(settings)`, which gives {panels, numbers}, like the class of softq/lab/curves.py; the
 * browser tests compare the numbers. A panel may name the setting that a click or a drag along its x sets: {sets: "eps"}.
 * Needs softq-base.js before it.
 */
(function () {
  "use strict";

  const { Lab, tidy, numeral } = window.softqLab;
  const SHORT = 560; // narrower than this, panels stand below one another

  class CurveLab extends Lab {
    /** {panels: [{xlabel, ylabel, curves: [{x, y, label, look}], log, xlim, ylim, points, bands, sets}], numbers}. */
    view(_settings) {
      return { panels: [], numbers: {} };
    }

    get points() {
      return true;
    }

    refresh() {
      this.shown = this.view(this.settings);
      this.showControls();
      const numbers = Object.entries(this.shown.numbers);
      this.showRows(numbers.map(([term, value]) => [term, numeral(value)]));
      this.describe(numbers.map(([term, value]) => term + " " + tidy(value)).join(", ") + ".");
      this.redraw();
    }

    report() {
      return { settings: this.settings, numbers: this.shown.numbers };
    }

    /** Dragging in a panel that sets something sets it; else the values of its curves are said. */
    onPointer(event) {
      const panel = this.panelAt(event);
      if (panel && panel.sets && (event.type === "click" || event.type === "drag")) {
        this.set(panel.sets, Number(tidy(event.x)));
      } else this.redraw();
    }

    panelAt(cursor) {
      return cursor && cursor.frame ? this.shown.panels[Number(cursor.frame)] : null;
    }

    hover(cursor) {
      const panel = this.panelAt(cursor);
      if (!panel) return "";
      const values = panel.curves.filter((curve) => curve.x.length > 2 && isIncreasing(curve.x)).map((curve) =>
        (curve.label || panel.ylabel) + " " + numeral(valueAt(curve, cursor.x)));
      return [panel.xlabel + " " + numeral(cursor.x), ...values].join(", ");
    }

    get rowsOfPanels() {
      return this.shown ? this.shown.panels.length : 1;
    }

    // an odd panel out gets the whole width, the others share theirs
    height(width) {
      const count = this.rowsOfPanels, columns = width < SHORT ? 1 : 2, wide = count % columns;
      const rows = wide + (count - wide) / columns;
      return rows * Math.round(Math.min(300, width * 0.62)) - (wide && columns > 1 ? 90 : 0);
    }

    draw(c, width, _height, colours) {
      if (!this.shown) return;
      const { panels } = this.shown, columns = width < SHORT ? 1 : 2, wide = panels.length % columns;
      const each = Math.round(Math.min(300, width * 0.62));
      let top = 0, column = 0;
      panels.forEach((panel, i) => {
        const full = i < wide || columns === 1, tall = full && columns > 1 ? each - 90 : each;
        const across = full ? width : width / columns;
        this.drawPanel(c, panel, String(i), { left: column * across, top: top, width: across, height: tall }, colours);
        column = full ? 0 : (column + 1) % columns;
        if (column === 0) top += tall;
      });
      if (this.cursor && this.panelAt(this.cursor)) this.drawCursor(c, colours);
    }

    drawPanel(c, panel, name, box, colours) {
      const [logX, logY] = panel.log || [false, false];
      const [x0, x1] = panel.xlim || span(panel.curves.flatMap((curve) => Array.from(curve.x)), logX);
      const legend = panel.curves.filter((curve) => curve.label);
      let [y0, y1] = panel.ylim || span(panel.curves.flatMap((curve) => Array.from(curve.y)), logY);
      if (!panel.ylim) [y0, y1] = logY ? [y0 * 0.8, y1 * 1.3] : [Math.min(0, y0), y1 * 1.08];
      const left = box.left + 46, right = box.left + box.width - 10;
      const longest = Math.max(0, ...legend.map((curve) => c.measureText(curve.label).width));
      const columns = longest + 32 < (right - left) / 2 ? 2 : 1, rows = Math.ceil(legend.length / columns);
      const top = box.top + 22 + 15 * rows, bottom = box.top + box.height - 36;
      const frame = this.frame(name, { left, right, top, bottom }, [x0, x1], [y0, y1], [logX, logY]);

      c.lineWidth = 1;
      c.strokeStyle = colours.quiet;
      c.strokeRect(left, top, right - left, bottom - top);
      c.fillStyle = colours.quiet;
      c.textAlign = "center";
      for (const v of marks(x0, x1, logX)) {
        const half = c.measureText(numeral(v)).width / 2; // the last number may not stick out
        c.fillText(numeral(v), Math.min(frame.x(v), right + 9 - half), bottom + 14);
      }
      c.fillText(panel.xlabel, (left + right) / 2, bottom + 29);
      c.textAlign = "right";
      for (const v of marks(y0, y1, logY)) c.fillText(power(v, logY), left - 5, frame.y(v) + 4);
      c.textAlign = "left";
      c.fillText(panel.ylabel, box.left + 4, box.top + 14);

      legend.forEach((curve, i) => {
        const lx = left + (i % columns) * ((right - left) / 2), ly = box.top + 27 + 15 * Math.floor(i / columns);
        const { colour, dash } = this.look(curve.look);
        c.strokeStyle = colour;
        c.lineWidth = 2;
        c.setLineDash(dash);
        c.beginPath();
        c.moveTo(lx, ly);
        c.lineTo(lx + 22, ly);
        c.stroke();
        c.setLineDash([]);
        c.fillStyle = colours.ink;
        c.fillText(curve.label, lx + 27, ly + 4);
      });

      this.within(c, frame, () => {
        c.fillStyle = colours.exact;
        c.globalAlpha = 0.2;
        for (const [from, to] of panel.bands || []) {
          c.fillRect(frame.x(from), top, Math.max(1, frame.x(to) - frame.x(from)), bottom - top);
        }
        c.globalAlpha = 1;
        c.lineWidth = 2;
        for (const curve of panel.curves) {
          const { colour, dash } = this.look(curve.look);
          c.strokeStyle = colour;
          c.setLineDash(dash);
          c.beginPath();
          for (let i = 0; i < curve.x.length; i++) {
            const px = frame.x(curve.x[i]), py = Math.min(bottom + 50, Math.max(top - 50, frame.y(curve.y[i])));
            if (i === 0) c.moveTo(px, py);
            else c.lineTo(px, py);
          }
          c.stroke();
        }
        c.setLineDash([]);
        for (const [px, py, look] of panel.points || []) {
          c.fillStyle = this.look(look).colour;
          c.beginPath();
          c.arc(frame.x(px), frame.y(py), 4.5, 0, 2 * Math.PI);
          c.fill();
        }
      });
    }
  }

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

  /** A number on an axis of height, where there is no room for many zeros. */
  function power(v, log) {
    return log && (v < 1e-3 || v > 1e4) ? v.toExponential(0).replace("+", "") : numeral(v);
  }

  function isIncreasing(xs) {
    return xs[1] > xs[0] && xs[xs.length - 1] > xs[xs.length - 2];
  }

  /** A line between the points of a curve. */
  function valueAt(curve, x) {
    const { x: xs, y: ys } = curve;
    let i = 1;
    while (i < xs.length - 1 && xs[i] < x) i++;
    const share = Math.min(1, Math.max(0, (x - xs[i - 1]) / (xs[i] - xs[i - 1])));
    return ys[i - 1] + share * (ys[i] - ys[i - 1]);
  }

  Object.assign(window.softqLab, { CurveLab, marks });
})();
