/* What every page of the book has besides its labs: search from a folder, figures that open on the whole screen, and
   tables, formulas and programs that say when there is more of them at the side. */
(() => {
  "use strict";

  /* From a folder, a page may not read other pages: search then lists titles without excerpts, and without errors. */
  if (window.location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  }

  /* The theme's side bar is no landmark: its logo would lie outside of all parts of the page. */
  const bar = document.querySelector(".bd-sidebar-primary");
  if (bar) {
    bar.setAttribute("role", "navigation");
    bar.setAttribute("aria-label", "The book");
  }

  /* Nor do the theme's buttons that fold a part of it have names. */
  for (const summary of document.querySelectorAll(".bd-sidebar-primary summary")) {
    const link = summary.closest("li").querySelector("a");
    summary.setAttribute("aria-label", `Pages below ${link ? link.textContent.trim() : "this one"}`);
  }

  const FIGURES = "article .cell_output img, article figure img, article img.softq-zooms";
  const WIDE = [
    ["article .pst-scrollable-table-container, article .cell_output .text_html", "Table"],
    ["article .highlight pre, article .output.stream pre, article .output.text_plain pre", "Text"],
  ];

  /** An element with attributes and children. */
  function make(name, attributes, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  /** The dialog in which a figure has the whole screen. Escape, the button and a click beside the figure close it. */
  class Zoom {
    constructor() {
      this.picture = make("img", { alt: "" });
      this.stage = make("div", { class: "softq-zoom-stage", tabindex: "0", role: "group" }, this.picture);
      this.stage.setAttribute("aria-label", "The figure; it scrolls if it is larger than the screen");
      const close = make("button", { type: "button", class: "softq-zoom-close" }, "Close");
      this.dialog = make("dialog", { class: "softq-zoom", "aria-label": "Figure" }, close, this.stage);
      close.addEventListener("click", () => this.dialog.close());
      this.dialog.addEventListener("click", (event) => {
        if (event.target === this.dialog || event.target === this.stage) this.dialog.close();
      });
      document.body.append(this.dialog);
    }

    open(image) {
      this.picture.src = image.currentSrc || image.src;
      this.picture.alt = image.alt;
      // at least its own size: on a phone it scrolls, elsewhere it grows to the screen
      this.picture.style.minWidth = `${image.naturalWidth}px`;
      this.dialog.showModal();
      this.stage.scrollTo(0, 0);
    }
  }

  let zoom = null;
  const enlarge = (image) => (zoom ??= new Zoom()).open(image);

  /** Give a figure a button in its corner, and let a click on the figure do the same. */
  function enlargeable(image) {
    if (image.closest(".softq-lab, a, dialog")) return;
    const button = make("button", { type: "button", class: "softq-zoom-open", "aria-haspopup": "dialog" });
    button.setAttribute("aria-label", "Enlarge the figure");
    button.title = "Enlarge the figure";
    const frame = make("span", { class: "softq-zoom-frame" });
    image.replaceWith(frame);
    frame.append(image, button);
    image.addEventListener("click", () => enlarge(image));
    button.addEventListener("click", () => enlarge(image));
  }

  /** Mark boxes whose content goes on at a side, and let the keyboard scroll them. */
  class Scrolling {
    constructor() {
      this.kinds = new WeakMap();
      this.observer = new ResizeObserver((entries) => entries.forEach(({ target }) => this.look(target)));
    }

    watch(box, kind) {
      this.kinds.set(box, kind);
      box.addEventListener("scroll", () => this.look(box), { passive: true });
      this.observer.observe(box);
    }

    look(box) {
      const room = box.scrollWidth - box.clientWidth;
      const scrolls = room > 4 && ["auto", "scroll"].includes(getComputedStyle(box).overflowX);
      box.classList.toggle("softq-scrolls", scrolls);
      box.classList.toggle("softq-more-right", scrolls && box.scrollLeft < room - 4);
      box.classList.toggle("softq-more-left", scrolls && box.scrollLeft > 4);
      if (!scrolls) return;
      box.tabIndex = 0;
      if (box.hasAttribute("role") || ["PRE", "MJX-CONTAINER"].includes(box.tagName)) return;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", `${this.kinds.get(box)}, scrolls sideways`);
    }
  }

  /** A formula in a line becomes a box that scrolls where it is wider than its paragraph; others keep their line. */
  function fit(formulas, scrolling) {
    const room = (box) => box.closest("p, li, dd, td, th, figcaption, h1, h2, h3, h4")?.clientWidth ?? Infinity;
    const wide = formulas.map((box) => box.firstElementChild.offsetWidth > room(box));
    formulas.forEach((box, i) => {
      box.classList.toggle("softq-formula-scrolls", wide[i]);
      if (wide[i]) scrolling.watch(box, "Formula");
    });
  }

  function start() {
    document.querySelectorAll(FIGURES).forEach(enlargeable);
    const scrolling = new Scrolling();
    for (const [selector, kind] of WIDE) {
      for (const box of document.querySelectorAll(selector)) {
        if (!box.querySelector(".softq-lab")) scrolling.watch(box, kind);
      }
    }
    // formulas are boxes only once they are set
    globalThis.MathJax?.startup?.promise?.then(() => {
      for (const box of document.querySelectorAll("article div.math mjx-container")) scrolling.watch(box, "Formula");
      const inline = [...document.querySelectorAll("article mjx-container")].filter((box) => !box.closest("div.math"));
      new ResizeObserver(() => fit(inline, scrolling)).observe(document.querySelector("article"));
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
