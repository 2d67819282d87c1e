/* The errata by paper and kind, and the ledger by paper and verdict. An entry is a card with its verdict, or a row of a
   table with the section that it leads to, and its kind in the second column. `data-kind` and `data-kinds` of
   `.softq-filter` name what is chosen; without this script the page shows everything. */
(() => {
  "use strict";

  const ALL = "all";

  /** An element with attributes and children. */
  function make(name, attributes, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  class Filter {
    constructor(place) {
      this.kinds = place.dataset.kinds.split(", ");
      this.entries = [...document.querySelectorAll("article section > section:has(> h2)")].flatMap((section) =>
        this.entriesOf(section),
      );
      this.papers = [...new Set(this.entries.map((entry) => entry.paper))];
      this.rest = [...document.querySelectorAll("article section:has(> h3)")].filter(
        (section) => !this.entries.some((entry) => entry.parts.includes(section)),
      );
      const titles = this.papers.map((section) => Filter.title(section));
      this.paper = this.choice("Paper", [ALL, ...titles]);
      this.kind = this.choice(place.dataset.kind, [ALL, ...this.kinds]);
      this.output = make("output", { "aria-live": "polite" });
      place.append(...[this.paper, this.kind].map((select) => select.parentElement), this.output);
      window.addEventListener("hashchange", () => this.reveal());
      this.apply();
      this.reveal();
    }

    static title(section) {
      return section.querySelector("h2, h3").firstChild.textContent.trim();
    }

    /** The cards of a paper, or the rows of its table with the sections that they lead to, and the kinds of each. */
    entriesOf(paper) {
      const cards = [...paper.querySelectorAll(".softq-row")].map((card) => ({
        paper,
        parts: [card],
        kinds: [card.querySelector(".softq-verdict").textContent],
      }));
      const rows = [...paper.querySelectorAll("table tbody tr")].flatMap((row) => {
        const target = row.querySelector("a[href^='#']")?.getAttribute("href").slice(1);
        const found = target && document.getElementById(target);
        if (!found) return [];
        const kinds = this.kinds.filter((kind) => row.cells[1].textContent.includes(kind));
        return [{ paper, parts: [row, found.closest("section")], kinds }];
      });
      return [...cards, ...rows];
    }

    choice(name, options) {
      const select = make("select", {}, ...options.map((option) => make("option", { value: option }, option)));
      make("label", {}, `${name} `, select);
      select.addEventListener("change", () => this.apply());
      return select;
    }

    apply() {
      const { value: paper } = this.paper;
      const { value: kind } = this.kind;
      const chosen = (section) => paper === ALL || Filter.title(section) === paper;
      let shown = 0;
      for (const entry of this.entries) {
        const visible = chosen(entry.paper) && (kind === ALL || entry.kinds.includes(kind));
        for (const part of entry.parts) part.hidden = !visible;
        shown += visible ? 1 : 0;
      }
      for (const section of this.papers) {
        section.hidden = !this.entries.some((entry) => entry.paper === section && !entry.parts[0].hidden);
      }
      for (const section of this.rest) section.hidden = kind !== ALL || !chosen(section);
      for (const section of document.querySelectorAll("article section:has(> h2)")) {
        const parts = this.rest.filter((part) => section.contains(part));
        if (parts.length && !this.papers.includes(section)) section.hidden = parts.every((part) => part.hidden);
      }
      this.output.value = `${shown} of ${this.entries.length} entries`;
    }

    /** A link to an entry that is hidden shows everything again. */
    reveal() {
      const target = document.getElementById(decodeURIComponent(window.location.hash.slice(1)));
      if (!target?.closest("section[hidden], .softq-row[hidden]")) return;
      this.paper.value = ALL;
      this.kind.value = ALL;
      this.apply();
      target.scrollIntoView();
    }
  }

  let filter = null;
  const start = () => {
    const place = document.querySelector(".softq-filter");
    if (place) filter ??= new Filter(place);
  };

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
