// What the page shows: one State is everything at a moment, as JSON.

package play

import "example.com/rpcworkbook/internal/play/load"

// A Hello is what stays as it is while the page is open.
type Hello struct {
	Chapter   int            `json:"chapter"` // 3 to 6; 0: the whole system
	Scenarios []ScenarioInfo `json:"scenarios"`
}

// A State is a complete picture. Names of fields are the page's.
type State struct {
	At        int64        `json:"at"` // milliseconds since the start
	Servers   []Server     `json:"servers"`
	ZooKeeper *ZooKeeper   `json:"zookeeper"` // null where the chapter has none
	Client    Client       `json:"client"`
	Points    []load.Point `json:"points"` // of pi, by n

	Running string   `json:"running"` // the scenario that goes on; "" for none
	Outcome *Outcome `json:"outcome"` // of the latest scenario
}

// A Server is a master with its workers.
type Server struct {
	Name      string `json:"name"` // "A"
	Addr      string `json:"addr"`
	Command   string `json:"command"`
	Running   bool   `json:"running"` // its master lives
	How       string `json:"how"`     // how the master ended, such as "exit status 0"
	Listening bool   `json:"listening"`

	Processes []Process `json:"processes"`

	Link     string  `json:"link"` // a fault on its way to ZooKeeper; "" for none
	Answered float64 `json:"answered"`
	Failed   float64 `json:"failed"` // a second, both
}

// A Process is one of a server's.
type Process struct {
	PID         int     `json:"pid"`
	Role        string  `json:"role"`  // "master", "worker" or "orphan"
	State       string  `json:"state"` // "runs", "waits", "stopped" or "zombie"
	Connections int     `json:"connections"`
	Listener    bool    `json:"listener"` // it has the listening socket open
	CPU         float64 `json:"cpu"`      // percent of a processor
}

// A ZooKeeper is the registry.
type ZooKeeper struct {
	Addr  string `json:"addr"`
	PID   int    `json:"pid"`
	State string `json:"state"` // "serves", "frozen" or "dead"
	Root  string `json:"root"`

	Known    bool      `json:"known"` // what follows has been read
	Old      int64     `json:"old"`   // milliseconds since it was
	Znodes   []Znode   `json:"znodes"`
	Sessions []Session `json:"sessions"`
}

// A Znode is one child of the root.
type Znode struct {
	Name    string `json:"name"`
	Data    string `json:"data"`
	Addr    string `json:"addr"`    // that the data name
	Session string `json:"session"` // its owner's, "0x…"; "" for a persistent one
}

// A Session is a session with ZooKeeper.
type Session struct {
	ID        string `json:"id"`
	Owner     string `json:"owner"`     // "server A", "client", or "" for the page's own
	Connected bool   `json:"connected"` // a connection carries it
	Timeout   int64  `json:"timeout"`   // milliseconds
	Left      int64  `json:"left"`      // of it, if nothing more is heard
}

// A Client is who calls the servers.
type Client struct {
	Kind    string `json:"kind"` // "workbook", "yours" or "page"
	PID     int    `json:"pid"`  // 0 for the page itself
	Command string `json:"command"`
	Running bool   `json:"running"`
	Stopped bool   `json:"stopped"`

	Known bool     `json:"known"` // the list is
	List  []string `json:"list"`  // of servers
	Stale bool     `json:"stale"`
	Link  string   `json:"link"`

	Servers  []ClientServer `json:"servers"`
	Waiting  int            `json:"waiting"` // calls outstanding, −1 if that is not known
	Calls    int            `json:"calls"`   // answered and failed, since the start
	Failed   int            `json:"failed"`  // since the start
	Slowest  int64          `json:"slowest"`
	Settings *load.Settings `json:"settings"` // null where the page can't say how much it calls
}

// A ClientServer is what there is between the client and one server. Of a
// client that doesn't say how many calls are outstanding, that is −1.
type ClientServer struct {
	Addr        string `json:"addr"`
	Listed      bool   `json:"listed"`
	Connections int    `json:"connections"`
	Outstanding int    `json:"outstanding"`
	SetAside    bool   `json:"setAside"`

	Answered float64 `json:"answered"`
	Failed   float64 `json:"failed"`
}

// An Entry is a line of the log.
type Entry struct {
	ID   int    `json:"id"` // from 1
	At   int64  `json:"at"` // milliseconds since the start
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Kinds of entries.
const (
	kindDone    = "you"       // what somebody did with a button
	kindProcess = "process"   // processes came, went and changed
	kindZoo     = "zookeeper" // znodes and sessions
	kindList    = "list"      // the client's list
	kindCalls   = "calls"     // calls failed, or do no more
	kindAnswer  = "answer"    // what a scenario has shown
)
