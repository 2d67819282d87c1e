/* softq's lab of the flood: the class `FloodLab` of softq/lab/flood.py in the page.
 *
 * A click on the map sets the tolerance with which the action there is the last that counts.
 */
(function () {
  "use strict";

  const { CurveLab, register, make, fixed, numeral, tidy, rgb } = window.softqLab;
  const { landscape, grid, interpolate } = window.softqKit;

  class FloodLab extends CurveLab {
    prepare() {
      this.rows = {};
      for (const row of this.data.landscapes) {
        const q = landscape(row.landscape);
        this.rows[row.name] = Object.assign({ q: q, values: grid(q, 2, this.data.side).values }, row);
      }
    }

    /** The share of the softmax within each level of the table, and its gap, from the volumes alone. */
    policy({ levels, volumes }, temperature) {
      let mass = 0, regret = 0;
      const within = levels.map((level, i) => {
        const middle = (level + (i ? levels[i - 1] : 0)) / 2, part = volumes[i] - (i ? volumes[i - 1] : 0);
        regret += part * middle * Math.exp(-middle / temperature);
        return (mass += part * Math.exp(-middle / temperature));
      });
      return { share: within.map((m) => m / mass), gap: regret / mass };
    }

    view(s) {
      const row = this.rows[s.landscape], { levels, volumes } = row, { step } = this.data, area = 4;
      const vol = (eps) => Math.min(area, interpolate(levels, volumes, eps));
      const { share, gap } = this.policy(row, s.temperature), inside = interpolate(levels, share, s.eps);
      return {
        panels: [
          { xlabel: "first coordinate", ylabel: "second coordinate", curves: [], map: true },
          {
            xlabel: "tolerance \u03b5", ylabel: "share", log: [true, true], sets: "eps",
            xlim: [1e-4, 2], ylim: [1e-4, 1.5],
            curves: [
              { x: levels, y: volumes.map((v) => v / area), label: "of the box", look: "uniform" },
              { x: levels, y: share, label: "of the softmax", look: "exact" },
            ],
            points: [[s.eps, vol(s.eps) / area, "uniform"], [s.eps, inside, "exact"]],
          },
        ],
        numbers: {
          "Vol(\u03b5)": vol(s.eps),
          "share of the box": vol(s.eps) / area,
          "growth exponent at \u03b5": Math.log(vol(s.eps * step) / vol(s.eps / step)) / (2 * Math.log(step)),
          "share of the softmax": inside,
          "gap": gap,
        },
      };
    }

    regret(event) {
      const { q, maximum } = this.rows[this.settings.landscape];
      return maximum - q(Float64Array.of(event.x, event.y), null);
    }

    onPointer(event) {
      const panel = this.panelAt(event);
      if (panel && panel.map && (event.type === "click" || event.type === "drag")) {
        this.set("eps", Number(tidy(this.regret(event))));
      } else super.onPointer(event);
    }

    hover(cursor) {
      const panel = this.panelAt(cursor);
      if (!panel || !panel.map) return super.hover(cursor);
      return "action " + fixed(cursor.x, 2) + ", " + fixed(cursor.y, 2) + ": " + numeral(this.regret(cursor)) +
        " below the maximum. Click or Enter makes this the tolerance.";
    }

    drawPanel(c, panel, name, box, colours) {
      if (!panel.map) {
        super.drawPanel(c, panel, name, box, colours);
        return;
      }
      const side = Math.min(box.width - 40, box.height - 58), left = box.left + (box.width - side) / 2 + 8;
      const top = box.top + 22, right = left + side, bottom = top + side;
      const frame = this.frame(name, { left, right, top, bottom }, [-1, 1], [-1, 1]);
      c.drawImage(this.sea(colours), left, top, side, side);
      c.lineWidth = 1;
      c.strokeStyle = c.fillStyle = colours.quiet;
      c.strokeRect(left, top, side, side);
      for (const v of [-1, 0, 1]) {
        c.textAlign = "center";
        c.fillText(numeral(v), frame.x(v), bottom + 14);
        c.textAlign = "right";
        c.fillText(numeral(v), left - 5, frame.y(v) + 4);
      }
      c.textAlign = "center";
      c.fillText(panel.xlabel, (left + right) / 2, bottom + 29);
      c.textAlign = "left";
      c.fillText(panel.ylabel, left - 20, box.top + 14);
    }

    /** The box: the darker, the further below the maximum; in colour what is within the tolerance. */
    sea(colours) {
      const { eps, landscape: name } = this.settings, n = this.data.side, { values, maximum } = this.rows[name];
      const image = make("canvas", { width: n, height: n }), c = image.getContext("2d"), pixels = c.createImageData(n, n);
      const [ground, deep, flood] = [colours.surface, colours.quiet, colours.exact].map(rgb);
      const lowest = maximum - values.reduce((least, v) => Math.min(least, v), Infinity);
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          const regret = maximum - values[i * n + j], at = 4 * ((n - 1 - j) * n + i);
          const to = regret <= eps ? flood : deep, share = regret <= eps ? 0.85 : 0.7 * Math.sqrt(regret / lowest);
          for (let k = 0; k < 3; k++) pixels.data[at + k] = ground[k] + share * (to[k] - ground[k]);
          pixels.data[at + 3] = 255;
        }
      }
      c.putImageData(pixels, 0, 0);
      return image;
    }
  }

  register("flood", FloodLab);
})();
