// The servers: a card each, with its processes.

import { make, svg, text, classes, slot, keyed } from "./dom.js";
import { showLink } from "./link.js";

const seconds = 60, perSecond = 2; // of the little curves
const curves = new Map(); // by server: what it answered and failed lately

export function showServers(state, act) {
  remember(state);
  keyed(document.getElementById("servers"), state.servers, (s) => s.name, (s) => newServer(s, act), (card, s) => update(card, s, state, act));
}

function newServer(server, act) {
  return make("article", { class: "card server " + server.name.toLowerCase(), "aria-label": "server " + server.name },
    make("h2", {}, `Server ${server.name} `, make("code", {}, server.addr), " ", make("span", { class: "state", "data-slot": "state" })),
    make("p", { class: "command", "data-slot": "command" }),
    make("div", { class: "rate" },
      make("div", {}, make("b", { "data-slot": "rate" }), " calls a second"),
      make("div", { "data-slot": "failing" }),
      svg("svg", { viewBox: `0 0 ${seconds * perSecond} 40`, preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("polyline", { class: "spark", "data-slot": "curve" }), svg("polyline", { class: "spark red", "data-slot": "redcurve" }))),
    make("ul", { class: "rows", "data-slot": "processes" }),
    make("div", { class: "buttons" },
      make("button", { "data-slot": "start", onclick: () => act({ do: "start", who: server.name }) }, "start it again")),
    make("div", { class: "link", "data-slot": "link" }));
}

function update(card, server, state, act) {
  const badge = slot(card, "state");
  const word = !server.running ? "ended" + (server.how ? ": " + server.how : "") : server.listening ? "listens" : "runs";
  text(badge, word);
  classes(badge, "state " + (server.running ? "good" : "bad"));
  text(slot(card, "command"), server.command);
  text(slot(card, "rate"), String(Math.round(server.answered)));
  const failing = slot(card, "failing");
  text(failing, server.failed > 0 ? `${Math.round(server.failed)} failed a second` : "none failed");
  classes(failing, server.failed > 0 ? "failing" : "quiet");
  draw(card, server);

  keyed(slot(card, "processes"), server.processes, (p) => p.pid, (p) => newProcess(p, act), updateProcess);
  slot(card, "start").hidden = server.running;
  showLink(slot(card, "link"), server.name, server.link, state.zookeeper, act);
}

function newProcess(p, act) {
  const button = (name, command, signal) => make("button", {
    "data-slot": name, "aria-label": `${command} ${p.pid}: ${signal} to a ${p.role}`,
    onclick: () => act({ do: "signal", pid: p.pid, signal }),
  }, `${command} ${p.pid}`);
  return make("li", { class: "fresh" },
    make("span", {}, make("span", { class: "pid" }, String(p.pid)), " ", make("span", { "data-slot": "role" }), make("div", { class: "facts", "data-slot": "facts" })),
    make("span", { class: "buttons" },
      button("term", "kill", "SIGTERM"), button("kill", "kill -9", "SIGKILL"), button("stop", "kill -STOP", "SIGSTOP"), button("cont", "kill -CONT", "SIGCONT")));
}

function updateProcess(row, p) {
  row.classList.add("process");
  for (const role of ["master", "worker", "orphan"]) row.classList.toggle(role, role === p.role);
  row.dataset.role = p.role;
  row.dataset.state = p.state;
  const role = slot(row, "role");
  text(role, p.role + (p.state === "stopped" || p.state === "zombie" ? ", " + p.state : ""));
  classes(role, p.state === "zombie" || p.role === "orphan" ? "bad" : p.state === "stopped" ? "warn" : "");
  const facts = [];
  if (p.role !== "master" || p.connections > 0) facts.push(`${p.connections} connection${p.connections === 1 ? "" : "s"}`);
  if (p.listener) facts.push("socket");
  facts.push(`${p.cpu} % CPU`);
  text(slot(row, "facts"), facts.join(" · "));
  const dead = p.state === "zombie";
  for (const name of ["term", "kill"]) slot(row, name).disabled = dead;
  slot(row, "stop").hidden = p.state === "stopped";
  slot(row, "cont").hidden = p.state !== "stopped";
  slot(row, "stop").disabled = dead;
}

// remember keeps what the curves show.
function remember(state) {
  const now = Math.floor((state.at / 1000) * perSecond);
  for (const s of state.servers) {
    const curve = curves.get(s.name) ?? { at: 0, answered: [], failed: [] };
    if (curve.at !== now) {
      curve.at = now;
      curve.answered.push(s.answered);
      curve.failed.push(s.failed);
      if (curve.answered.length > seconds * perSecond) { curve.answered.shift(); curve.failed.shift(); }
    }
    curves.set(s.name, curve);
  }
}

function draw(card, server) {
  const curve = curves.get(server.name);
  const most = Math.max(10, ...[...curves.values()].flatMap((c) => c.answered));
  const first = seconds * perSecond - curve.answered.length;
  const line = (values) => values.map((v, i) => `${first + i},${38 - (36 * Math.min(v, most)) / most}`).join(" ");
  slot(card, "curve").setAttribute("points", line(curve.answered));
  slot(card, "redcurve").setAttribute("points", curve.failed.some((v) => v > 0) ? line(curve.failed) : "");
}
