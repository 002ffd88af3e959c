// Scenarios: a question, a fault, and what came of it. They are begun with a
// button, or replayed one after another from the address: #kill-worker,freeze-zk

import { make, text, keyed } from "./dom.js";

const $ = (id) => document.getElementById(id);

// newScenarios returns what shows them. It begins the address's own with the
// first state.
export function newScenarios(act) {
  let offered = [];
  let queue = [];
  let busy = false; // a question is open, or a scenario goes on
  let shownOutcome = "";
  let begun = "";
  let replaying = false; // the address's own have been looked at

  const fromAddress = () => { queue = decodeURIComponent(location.hash.slice(1)).split(",").filter(Boolean); };
  fromAddress();
  addEventListener("hashchange", () => { fromAddress(); next(); });

  // next begins the first of the queue.
  async function next() {
    if (busy || queue.length === 0 || offered.length === 0) return;
    const name = queue.shift();
    const scenario = offered.find((s) => s.name === name);
    if (!scenario) {
      $("outcome").replaceChildren(make("p", {}, `There is no scenario ${name} in this chapter.`));
      return next();
    }
    await ask(scenario);
  }

  // ask asks for a prediction, and begins the scenario.
  async function ask(scenario) {
    busy = true;
    text($("question-title"), scenario.title);
    text($("question-text"), scenario.question);
    $("question-choices").replaceChildren(...scenario.choices.map((choice, i) =>
      make("label", {}, make("input", { type: "radio", name: "choice", value: i }), " " + choice)));
    const dialog = $("question");
    dialog.returnValue = "cancel";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "go") {
      queue = [];
      busy = false;
      return;
    }
    const chosen = dialog.querySelector("input:checked");
    begun = scenario.name;
    $("outcome").replaceChildren(make("p", {}, `${scenario.title}: wait and see…`));
    if (!await act({ do: "scenario", scenario: scenario.name, guess: chosen ? Number(chosen.value) : -1 })) {
      begun = "";
      busy = false;
      $("outcome").replaceChildren();
    }
  }

  // offerNext has the next of the queue wait until this one has been read.
  function offerNext() {
    const following = offered.find((s) => s.name === queue[0]);
    if (following) $("outcome").append(make("button", { class: "main", onclick: next }, "Go on: " + following.title));
  }

  // tell shows what came of a scenario.
  function tell(outcome) {
    const scenario = offered.find((s) => s.name === outcome.name);
    if (!scenario) return;
    const lines = [make("p", {}, make("strong", {}, scenario.title))];
    if (outcome.guess >= 0) lines.push(make("p", {}, "You expected: " + scenario.choices[outcome.guess]));
    lines.push(make("p", {}, "What happened: " + (outcome.happened >= 0 ? scenario.choices[outcome.happened] : "something else.")));
    lines.push(make("p", {}, outcome.text));
    if (outcome.guess >= 0) {
      lines.push(make("p", {}, make("strong", {}, outcome.guess === outcome.happened ? "You were right." : "That is not what you expected.")));
    }
    $("outcome").replaceChildren(...lines);
  }

  return {
    offer(scenarios) { offered = scenarios; },

    show(state) {
      keyed($("scenarios"), offered, (s) => s.name, (s) => make("li", {}, make("button", { onclick: () => { queue = [s.name]; next(); } },
        s.title, " ", make("code", {}, "#" + s.name))), (row) => { row.firstChild.disabled = state.running !== ""; });

      const now = JSON.stringify(state.outcome);
      if (state.outcome && state.running === "" && now !== shownOutcome) {
        shownOutcome = now;
        tell(state.outcome);
        if (begun === state.outcome.name) {
          begun = "";
          busy = false;
          offerNext();
        }
      }
      if (!state.outcome) shownOutcome = "";
      if (!replaying && offered.length > 0) { replaying = true; next(); }
    },
  };
}
