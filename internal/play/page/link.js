// The way from a server or the client to ZooKeeper, and what can be done to it.

import { make, text, classes, slot } from "./dom.js";

const faults = [
  ["cut", "cut it", "hold back all that passes, in both directions"],
  ["delay", "delay it", "have all that passes wait for half a second, each way"],
  ["heal", "mend it", "let everything pass again"],
  ["end-session", "end the session", "have ZooKeeper end the session"],
  ["lose-create", "lose the answer to the create", "have the znode created anew, and lose ZooKeeper's answer"],
];

// showLink shows it, unless there is no ZooKeeper.
export function showLink(place, who, fault, zookeeper, act) {
  place.hidden = !zookeeper;
  if (!zookeeper) return;
  if (!place.firstChild) {
    place.append(make("div", {}, "its way to ZooKeeper: ", make("strong", { "data-slot": "fault" })), make("div", { class: "buttons" },
      ...faults.filter(([name]) => who !== "client" || name !== "lose-create").map(([name, label, title]) =>
        make("button", { title, "aria-label": `${label}: ${title}, of ${who === "client" ? "the client" : "server " + who}`, onclick: () => act({ do: name, who }) }, label))));
  }
  const word = slot(place, "fault");
  text(word, fault || "whole");
  classes(word, fault ? "bad-text" : "");
}
