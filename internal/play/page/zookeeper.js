// ZooKeeper: what is registered, and the sessions.

import { make, text, classes, slot, keyed } from "./dom.js";

const card = document.getElementById("zookeeper");

export function showZooKeeper(zk, act) {
  card.hidden = !zk;
  if (!zk) return;
  const badge = slot(card, "state");
  text(badge, zk.state);
  classes(badge, "state " + { serves: "good", frozen: "warn", dead: "bad" }[zk.state]);
  const old = zk.known && zk.old > 1500 ? `; what follows was read ${Math.round(zk.old / 1000)} s ago` : "";
  text(slot(card, "where"), `${zk.addr}, process ${zk.pid}${old}`);
  text(slot(card, "root"), zk.root);

  const buttons = zk.state === "frozen"
    ? [["go-on", `kill -CONT ${zk.pid}`, "let ZooKeeper go on"]]
    : zk.state === "serves" ? [["freeze", `kill -STOP ${zk.pid}`, "freeze ZooKeeper"], ["kill", `kill -9 ${zk.pid}`, "kill ZooKeeper"]] : [];
  buttons.push(["restart", "restart", "start ZooKeeper again on its data"], ["wipe", "wipe", "start ZooKeeper again without its data"]);
  keyed(slot(card, "buttons"), buttons, ([name, label]) => name + label,
    ([name, label, title]) => make("button", { title, "aria-label": `${label}: ${title}`, onclick: () => act({ do: name }) }, label), () => {});

  keyed(slot(card, "znodes"), zk.znodes, (z) => z.name + z.session + z.data, (z) => make("li", { class: "fresh" },
    make("code", {}, z.name), " ", make("code", { class: "quiet" }, z.data), make("div", { class: "quiet" }, z.session ? "session " + z.session : "not ephemeral")), () => {});
  slot(card, "none").hidden = zk.znodes.length > 0;

  keyed(slot(card, "sessions"), zk.sessions, (s) => s.id, (s) => make("li", {},
    make("strong", { "data-slot": "owner" }), " ", make("span", { class: "left", "aria-hidden": "true" }, make("i")), " ",
    make("span", { "data-slot": "left" }), " ", make("code", { class: "quiet" }, s.id)), (row, s) => {
    text(slot(row, "owner"), s.owner || "somebody");
    const share = s.timeout ? s.left / s.timeout : 0;
    const bar = row.querySelector(".left");
    classes(bar, "left" + (share < 0.4 ? " short" : ""));
    bar.firstChild.style.width = `${Math.round(share * 100)}%`;
    text(slot(row, "left"), `${(s.left / 1000).toFixed(1)} of ${s.timeout / 1000} s${s.connected ? "" : ", not connected"}`);
  });
}
