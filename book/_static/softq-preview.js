/* Previews of what a link within the book leads to: a term, a theorem, a formula, a figure, an entry of the
   bibliography. Point at the link for a moment, or reach it with the keyboard; Escape puts the preview away. A touch
   follows the link as always. The previews come from softq-preview-data.js, asked for at the first such moment. */
(() => {
  "use strict";

  const ROOT = document.documentElement.dataset.content_root || "./";
  const PATIENCE = 220; // milliseconds that a pointer rests on a link before its preview appears
  const GRACE = 180; // and how long it stays after the pointer has left both
  const LINKS = "article a.reference.internal[href]";

  /** The key of what a link leads to: page and id, as in softq-preview-data.js. */
  function keyOf(link) {
    const base = new URL(ROOT, window.location.href).pathname;
    const { pathname, hash } = new URL(link.getAttribute("href"), window.location.href);
    if (!pathname.startsWith(base)) return null;
    return decodeURIComponent(pathname.slice(base.length) + hash);
  }

  class Preview {
    constructor() {
      this.card = document.createElement("div");
      this.card.className = "softq-preview";
      this.card.id = "softq-preview";
      this.card.setAttribute("role", "tooltip");
      this.card.hidden = true;
      document.body.append(this.card);
      this.link = null;
      this.timer = 0;
      this.loading = null;
      this.card.addEventListener("pointerenter", () => clearTimeout(this.timer));
      this.card.addEventListener("pointerleave", () => this.later(() => this.hide(), GRACE));
      document.addEventListener("pointerover", (event) => this.over(event));
      document.addEventListener("pointerout", (event) => this.out(event));
      document.addEventListener("pointerdown", (event) => this.down(event));
      document.addEventListener("focusin", (event) => this.focused(event));
      document.addEventListener("focusout", () => this.hide());
      document.addEventListener("keydown", (event) => {
        if (event.key === "Escape") this.hide();
      });
    }

    later(action, wait) {
      clearTimeout(this.timer);
      this.timer = setTimeout(action, wait);
    }

    over(event) {
      const link = event.target.closest?.(LINKS);
      if (event.pointerType !== "mouse" || !link) return;
      if (link === this.link) clearTimeout(this.timer);
      else this.later(() => this.show(link), PATIENCE);
    }

    out(event) {
      const link = event.target.closest?.(LINKS);
      if (link && !link.contains(event.relatedTarget)) this.later(() => this.hide(), GRACE);
    }

    down(event) {
      if (!this.card.contains(event.target)) this.hide();
    }

    focused(event) {
      const link = event.target.closest?.(LINKS);
      if (link?.matches(":focus-visible")) this.show(link);
    }

    /** The stored previews, once they have come. */
    data() {
      this.loading ??= new Promise((resolve) => {
        const script = document.createElement("script");
        script.src = `${ROOT}_static/softq-preview-data.js`;
        script.addEventListener("load", () => resolve(globalThis.softqPreviews ?? {}));
        script.addEventListener("error", () => resolve({}));
        document.head.append(script);
      });
      return this.loading;
    }

    async show(link) {
      this.hide();
      this.link = link;
      const html = (await this.data())[keyOf(link)];
      if (!html || this.link !== link) return;
      this.card.innerHTML = html;
      for (const image of this.card.querySelectorAll("img")) {
        const source = image.getAttribute("src");
        if (!source.startsWith("data:")) image.src = ROOT + source;
        image.addEventListener("load", () => this.place());
      }
      this.card.hidden = false;
      this.title = link.getAttribute("title");
      link.removeAttribute("title");
      link.setAttribute("aria-describedby", this.card.id);
      this.place();
      await globalThis.MathJax?.startup?.promise;
      if (this.link !== link) return;
      await globalThis.MathJax?.typesetPromise?.([this.card]);
      if (this.link === link) this.place();
    }

    hide() {
      clearTimeout(this.timer);
      if (this.link) {
        this.link.removeAttribute("aria-describedby");
        if (this.title) this.link.setAttribute("title", this.title);
      }
      if (!this.card.hidden) globalThis.MathJax?.typesetClear?.([this.card]);
      this.link = null;
      this.title = null;
      this.card.hidden = true;
      this.card.replaceChildren();
    }

    /** Below the link's line, or above it where there is more room. */
    place() {
      if (!this.link) return;
      const { left, top, bottom } = this.link.getClientRects()[0] ?? this.link.getBoundingClientRect();
      const { clientWidth: width, clientHeight: height } = document.documentElement;
      const below = height - bottom >= Math.min(this.card.scrollHeight + 16, top);
      this.card.style.maxHeight = `${Math.max(80, (below ? height - bottom : top) - 16)}px`;
      this.card.style.left = `${Math.max(8, Math.min(left, width - this.card.offsetWidth - 8))}px`;
      this.card.style.top = `${below ? bottom + 6 : Math.max(8, top - this.card.offsetHeight - 6)}px`;
    }
  }

  let preview = null;
  const start = () => (preview ??= new Preview());

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
