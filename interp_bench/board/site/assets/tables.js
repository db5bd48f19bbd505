/* Tables that sort by their headings and filter by the selects above them; both are kept in the URL. */
"use strict";

(() => {
  const state = window.interpBench;

  function text(cell) {
    return "v" in cell.dataset ? cell.dataset.v : cell.textContent.trim();
  }

  /* Numbers before words; what is missing comes last whichever way a column is sorted. */
  function compare(a, b, sign) {
    const missing = (v) => v === "" || v === "-";
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    const x = Number(a);
    const y = Number(b);
    if (!Number.isNaN(x) && !Number.isNaN(y)) return sign * (x - y);
    return sign * a.localeCompare(b, "en", { numeric: true });
  }

  class Sortable {
    constructor(table) {
      this.table = table;
      this.body = table.tBodies[0];
      this.heads = [...table.tHead.rows[0].cells];
      this.rows = [...this.body.rows];
      this.form = document.querySelector(`form.filters[data-for="${table.id}"]`);
      this.heads.forEach((head, index) => {
        const button = head.querySelector("button");
        if (button) button.addEventListener("click", () => this.turn(index));
      });
      if (this.form) {
        this.form.addEventListener("submit", (event) => event.preventDefault());
        this.form.addEventListener("input", () => this.filtered());
      }
    }

    fields() {
      return this.form ? [...this.form.elements].filter((field) => field.name) : [];
    }

    /* Take the state from the URL. */
    restore() {
      for (const field of this.fields()) {
        const value = state.get(`${this.table.id}.${field.name}`);
        field.value = value ?? field.dataset.default ?? "";
      }
      const [index, way] = (state.get(`${this.table.id}.sort`) ?? this.table.dataset.sort ?? "").split(" ");
      this.sort(index === "" ? -1 : Number(index), way);
      this.filter();
    }

    turn(index) {
      const head = this.heads[index];
      const first = head.classList.contains("n") ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const way = head.getAttribute("aria-sort") === first ? other : first;
      state.set({ [`${this.table.id}.sort`]: `${index} ${way.slice(0, -6)}` });
      this.sort(index, way.slice(0, -6));
      this.announce();
    }

    sort(index, way) {
      this.heads.forEach((head, i) => {
        if (head.hasAttribute("aria-sort")) head.setAttribute("aria-sort", i === index ? `${way}ending` : "none");
      });
      let order = this.rows;
      if (index >= 0 && this.heads[index]) {
        const sign = way === "desc" ? -1 : 1;
        const keyed = this.rows.map((row) => [text(row.cells[index]), row]);
        order = keyed.sort((a, b) => compare(a[0], b[0], sign)).map((pair) => pair[1]);
      }
      const fragment = document.createDocumentFragment();
      for (const row of order) {
        fragment.append(row);
        if (row.detail) fragment.append(row.detail);
      }
      this.body.append(fragment);
    }

    filtered() {
      const changes = {};
      for (const field of this.fields()) {
        const usual = field.dataset.default ?? "";
        changes[`${this.table.id}.${field.name}`] = field.value === usual ? null : field.value;
      }
      state.set(changes);
      this.filter();
    }

    filter() {
      const wanted = this.fields().filter((field) => field.name !== "q" && field.value);
      const fits = (element) =>
        wanted.every(({ name, value }) => {
          const held = element.dataset[name];
          return held === undefined || held.split(" ").includes(value);
        });
      const search = this.form?.elements.q?.value.trim().toLowerCase() ?? "";
      const columns = this.heads.map(fits);
      let shown = 0;
      for (const row of this.rows) {
        row.hidden = !fits(row) || (search !== "" && !row.textContent.toLowerCase().includes(search));
        if (row.detail) row.detail.hidden = row.hidden;
        shown += !row.hidden;
      }
      this.hide(columns);
      const count = this.form?.querySelector("output");
      if (count) count.textContent = shown === this.rows.length ? `${shown} rows` : `${shown} of ${this.rows.length} rows`;
      this.announce();
    }

    hide(columns) {
      if (columns.every(Boolean) && !this.narrowed) return;
      this.narrowed = !columns.every(Boolean);
      for (const row of [this.table.tHead.rows[0], ...this.rows]) {
        columns.forEach((fit, index) => {
          if (row.cells[index]) row.cells[index].hidden = !fit;
        });
      }
    }

    announce() {
      document.dispatchEvent(new CustomEvent("interp-bench:rows", { detail: this.table.id }));
    }
  }

  const tables = [...document.querySelectorAll("table.sortable")].map((table) => new Sortable(table));
  const restore = () => tables.forEach((table) => table.restore());
  window.addEventListener("hashchange", () => {
    if (location.hash.includes("=")) restore();
  });
  restore();
})();
