/* From a number to its trials: their packs are scripts that are loaded when someone asks for them. */
"use strict";

(() => {
  const root = document.body.dataset.root;
  const packs = new Map();

  /* Packs call this with their name and content. */
  window.interpBench.receive = (name, content) => packs.get(name)?.resolve(content);

  function load(name) {
    if (!packs.has(name)) {
      const pack = {};
      pack.promise = new Promise((resolve, reject) => {
        pack.resolve = resolve;
        const script = document.createElement("script");
        script.src = `${root}${name}.js`;
        script.onerror = () => reject(new Error(`${name}.js is missing from this copy of the site`));
        document.head.append(script);
      });
      packs.set(name, pack);
    }
    return packs.get(name).promise;
  }

  function make(tag, content, look) {
    const element = document.createElement(tag);
    if (look) element.className = look;
    if (Array.isArray(content)) element.append(...content);
    else if (content !== undefined) element.textContent = content;
    return element;
  }

  function number(value) {
    if (value === null || value === undefined) return "-";
    if (typeof value !== "number") return String(value);
    return Number.isInteger(value) ? String(value) : value.toPrecision(4);
  }

  function grid(caption, heads, rows) {
    const table = make("table");
    table.append(make("caption", caption));
    const head = make("tr", heads.map((label) => make("th", label)));
    head.childNodes.forEach((cell) => (cell.scope = "col"));
    table.append(make("thead", [head]));
    const body = rows.map((row) =>
      make("tr", row.map((value, index) => {
        const cell = make(index ? "td" : "th", number(value), typeof value === "number" ? "n" : "");
        if (!index) cell.scope = "row";
        return cell;
      })),
    );
    table.append(make("tbody", body));
    const box = make("div", [table], "scroll");
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", `${caption}, scrolls`);
    return box;
  }

  function facts(pairs) {
    const kept = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
    return make("dl", kept.map(([label, value]) => make("div", [make("dt", label), make("dd", value)])), "facts");
  }

  function plain(held) {
    return Object.entries(held).map(([name, value]) => `${name}=${value}`).join(", ");
  }

  function trialOf(pack, values) {
    const own = Object.fromEntries(pack.fields.map((name, index) => [name, values[index]]));
    const trial = { ...pack.same, ...own };
    trial.origin = Object.fromEntries(pack.provenance.map((name, index) => [name, pack.origins[trial.origin][index]]));
    return trial;
  }

  function heading(trial) {
    const what = trial.control ? `, control ${trial.control}` : "";
    const skill = trial.skill === null ? "" : `, skill ${number(trial.skill)}`;
    return `seed ${trial.seed}${what}: ${trial.status}${skill}`;
  }

  function evidence(trial, problem) {
    const parts = [];
    if (trial.reason) parts.push(make("p", trial.reason, "reason"));
    const metrics = [...new Set([...Object.keys(trial.scores), ...Object.keys(problem.ceiling)])].sort();
    parts.push(grid(
      `Scores, with ${problem.floor_draws} guesses on the same problem`,
      ["metric", "score", "floor", "spread of guesses", "ceiling"],
      metrics.map((name) => [name, trial.scores[name], problem.floor[name], problem.floor_spread[name], problem.ceiling[name]]),
    ));
    if (problem.certificate.length) {
      parts.push(grid(
        "Certificate: what was measured on the planted model",
        ["check", "value", "bound", "passed"],
        problem.certificate.map(([name, value, relation, bound, passed]) => [name, value, `${relation} ${bound}`, passed ? "yes" : "no"]),
      ));
    }
    parts.push(facts([
      ["seconds", number(trial.seconds)], ["processor seconds", number(trial.cpu_seconds)],
      ["forward passes", number(trial.forwards)], ["backward passes", number(trial.backwards)],
      ["peak memory, MiB", number(trial.peak_memory_mb)], ["seconds to grade", number(trial.grade_seconds)],
      ["seconds to plant", number(trial.plant_seconds)], ["warnings", plain(trial.warnings)],
      ["technique", `version ${trial.technique_version} ${trial.technique_fingerprint}`],
      ["arguments", plain(trial.technique_arguments)], ["task", `version ${trial.task_version}`],
      ["dials", plain(problem.dials)], ["model revision", problem.model_revision],
      ["commitment to the secret seed", trial.seed_secret], ["key", trial.key], ["run", trial.run_id],
    ]));
    parts.push(facts(Object.entries(trial.origin).map(([name, value]) => [name.replaceAll("_", " "), String(value)])));
    return parts;
  }

  async function fill(place, button) {
    const pack = await load(button.dataset.pack);
    const problems = await load(pack.problems);
    const model = pack.fields.indexOf("model");
    const trials = pack.trials.filter((values) => values[model] === button.dataset.of).map((values) => trialOf(pack, values));
    place.replaceChildren(...trials.map((trial, index) => {
      const details = make("details", [make("summary", heading(trial)), ...evidence(trial, problems[trial.problem])]);
      details.open = index === 0;
      details.className = "trial";
      return details;
    }));
  }

  async function toggle(button) {
    const row = button.closest("tr");
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) {
      row.detail.remove();
      row.detail = undefined;
      return;
    }
    const place = make("td", "loading", "trials");
    place.colSpan = row.cells.length;
    row.detail = make("tr", [place], "detail");
    row.after(row.detail);
    try {
      await fill(place, button);
    } catch (error) {
      place.textContent = error.message;
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.drill");
    if (button) toggle(button);
  });
})();
