// The lines that a client of the page prints, if it was made for that.

package load

// A Line is one of them. It says one thing: the other pointers are nil.
type Line struct {
	List    *List    `json:"list,omitempty"`
	Report  *Report  `json:"report,omitempty"`
	Servers []Server `json:"servers,omitempty"` // with a Report
}

// A List is the client's list of servers, which has just changed.
type List struct {
	Servers []string `json:"servers"`
	Stale   bool     `json:"stale"` // it can't be read any more: this is the last one known
}

// A Server is what a client knows of a server.
type Server struct {
	Addr        string `json:"addr"`
	Outstanding int    `json:"outstanding"`
	SetAside    bool   `json:"setAside"` // it gets no calls at the moment
}
