// The page: it shows each state that the stream of events brings, and asks for
// what the buttons say.

import { make, text, classes } from "./dom.js";
import { newChart } from "./chart.js";
import { showServers } from "./servers.js";
import { showZooKeeper } from "./zookeeper.js";
import { showClient } from "./client.js";
import { newScenarios } from "./scenarios.js";

const $ = (id) => document.getElementById(id);

// The token comes with the address. It is kept for the pages that a chapter
// links to, and taken out of the address, which people see on a projector.
const here = new URL(location.href);
if (here.searchParams.has("token")) {
  localStorage.setItem("play-token", here.searchParams.get("token"));
  here.searchParams.delete("token");
  history.replaceState(null, "", here);
}

// act asks for something, and returns whether it was done.
async function act(action) {
  const trouble = $("trouble");
  try {
    const answer = await fetch("do", {
      method: "POST",
      headers: { "X-Play-Token": localStorage.getItem("play-token") ?? "" },
      body: JSON.stringify({ guess: -1, ...action }),
    });
    text(trouble, answer.ok ? "" : await answer.text());
    trouble.hidden = answer.ok;
    return answer.ok;
  } catch {
    text(trouble, "make play doesn't answer any more: has it ended?");
    trouble.hidden = false;
    return false;
  }
}

const drawChart = newChart($("chart"));
const scenarios = newScenarios(act);

const chapters = { 0: "the workbook's own programs", 3: "chapter 3: prefork", 4: "chapter 4: signals", 5: "chapter 5: discovery", 6: "chapter 6: the client" };

function show(state) {
  if (!state.servers) return; // nothing has been seen yet
  showServers(state, act);
  showZooKeeper(state.zookeeper, act);
  showClient(state, act);
  scenarios.show(state);
  drawChart(state.points ?? []);
}

// log adds an entry. The newest stands at the bottom, and stays in sight unless
// somebody has scrolled up.
let latest = 0;
function log(entry) {
  if (entry.id <= latest) return;
  latest = entry.id;
  const list = $("log");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(make("li", { class: entry.kind },
    make("time", {}, (entry.at / 1000).toFixed(2) + " s"), make("span", {}, entry.text)));
  while (list.children.length > 500) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

const contact = $("contact");
const stream = new EventSource("events");
stream.addEventListener("hello", (event) => {
  const hello = JSON.parse(event.data);
  text($("what"), chapters[hello.chapter]);
  scenarios.offer(hello.scenarios ?? []);
});
stream.addEventListener("state", (event) => {
  text(contact, "live");
  classes(contact, "");
  show(JSON.parse(event.data));
});
stream.addEventListener("log", (event) => log(JSON.parse(event.data)));
stream.addEventListener("end", () => {
  stream.close();
  text(contact, "make play has ended");
  classes(contact, "lost");
});
stream.addEventListener("error", () => {
  text(contact, "no contact with make play");
  classes(contact, "lost");
});
