// The client: its list, its connections, and how much it calls.

import { make, text, classes, slot, keyed } from "./dom.js";
import { showLink } from "./link.js";

const card = document.getElementById("client");
const kinds = {
  workbook: ["The client", "Its list:"],
  yours: ["Your client", "It is connected to:"],
  page: ["The callers, on this page", "They call:"],
};
const port = (addr) => addr.slice(addr.lastIndexOf(":") + 1);

export function showClient(state, act) {
  const client = state.client;
  const [title, listName] = kinds[client.kind];
  text(slot(card, "title"), title);
  text(slot(card, "list-name"), listName);
  const badge = slot(card, "state");
  text(badge, client.stopped ? "stopped" : client.running ? "runs" : "ended");
  classes(badge, "state " + (client.stopped ? "warn" : client.running ? "good" : "bad"));
  const command = slot(card, "command");
  text(command, client.command);
  command.hidden = !client.command;

  showButtons(client, act);
  text(slot(card, "list"), !client.known ? "not known yet" : client.list.length ? client.list.map(port).join(", ") : "no server");
  slot(card, "stale").hidden = !client.stale;

  keyed(slot(card, "servers"), client.servers, (s) => s.addr, () => make("li"), (row, s) => {
    const facts = [`${s.connections} connection${s.connections === 1 ? "" : "s"}`];
    if (s.outstanding >= 0) facts.push(`${s.outstanding} outstanding`);
    facts.push(`${Math.round(s.answered)} answered a second`);
    if (s.failed > 0) facts.push(`${Math.round(s.failed)} failed`);
    if (s.setAside) facts.push("set aside");
    if (!s.listed) facts.push(client.kind === "yours" ? "not connected" : "not listed");
    text(row, `${port(s.addr)}: ${facts.join(" · ")}`);
  });

  const waiting = client.waiting >= 0 ? `${client.waiting} outstanding, ` : "";
  const sums = slot(card, "sums");
  text(sums, `${waiting}${client.calls} calls, ${client.failed} failed, the slowest of the last 5 s took ${client.slowest} ms`);
  classes(sums, client.failed > 0 ? "bad-text" : "");
  showLoad(client.settings, act);
  showLink(slot(card, "link"), "client", client.link, client.kind === "page" ? null : state.zookeeper, act);
}

function showButtons(client, act) {
  const signal = (label, name) => [label + client.pid, `${label} ${client.pid}`, { do: "signal", pid: client.pid, signal: name }];
  let buttons = [];
  if (client.pid && client.running) {
    buttons = [signal("kill", "SIGTERM"), signal("kill -9", "SIGKILL"),
      client.stopped ? signal("kill -CONT", "SIGCONT") : signal("kill -STOP", "SIGSTOP")];
  } else if (client.kind !== "page") {
    buttons = [["start", "start it again", { do: "start", who: "client" }]];
  }
  keyed(slot(card, "buttons"), buttons, ([key]) => key,
    ([, label, action]) => make("button", { "aria-label": `${label}: the client`, onclick: () => act(action) }, label), () => {});
}

// showLoad fills the form in, unless somebody is at it.
const form = slot(card, "load");
let shown = "";
let send = null;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send?.({ do: "load", settings: { callers: Number(form.callers.value), pause: Number(form.pause.value) * 1e6, long: form.long.checked } });
});

function showLoad(settings, act) {
  send = act;
  form.hidden = !settings;
  const now = JSON.stringify(settings);
  if (!settings || now === shown || form.contains(document.activeElement) && shown) return;
  shown = now;
  form.callers.value = settings.callers;
  form.pause.value = settings.pause / 1e6;
  form.long.checked = settings.long;
}
