// The web server: the page's files, a stream of events with the state and the
// log, and the buttons. It answers nobody but a browser on this machine that
// was given the address, with the token in it.

package play

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"time"

	"example.com/rpcworkbook/internal/play/page"
)

const (
	usualPort  = 4780
	eventPause = 200 * time.Millisecond // at least, between two states: five a second at most
	eventLife  = 15 * time.Second       // after which a stream says something, also if nothing happens
	tokenName  = "X-Play-Token"         // the header of requests that change something
)

// A Web serves one Play.
type Web struct {
	play     *Play
	token    string
	listener net.Listener
	server   *http.Server
	ended    chan struct{} // closed when streams are to end
}

// NewWeb listens on 127.0.0.1, on the usual port if that is free.
func NewWeb(p *Play) (*Web, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(usualPort)))
	if err != nil {
		listener, err = net.Listen("tcp4", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("listen for the page: %w", err)
	}

	w := &Web{play: p, token: rand.Text(), listener: listener, ended: make(chan struct{})}
	w.server = &http.Server{Handler: w.handler(), ReadHeaderTimeout: 5 * time.Second}
	return w, nil
}

// Address is the page's, with the token.
func (w *Web) Address() string {
	return fmt.Sprintf("http://%s/?token=%s", w.listener.Addr(), w.token)
}

// Serve serves until Close.
func (w *Web) Serve() error {
	if err := w.server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the page: %w", err)
	}
	return nil
}

// Close tells the pages that all is over, and ends the server.
func (w *Web) Close() {
	close(w.ended)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		_ = w.server.Close()
	}
}

// handler is all that there is to be asked for.
func (w *Web) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(fs.FS(page.Files)))
	mux.HandleFunc("GET /events", w.events)
	mux.HandleFunc("POST /do", w.do)
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		// Another name that leads to this address may belong to a page of
		// somebody else's, in the same browser.
		if !w.isOurs(r.Host) {
			http.Error(out, "this page is at "+w.listener.Addr().String()+" only", http.StatusForbidden)
			return
		}
		out.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
		out.Header().Set("Referrer-Policy", "no-referrer")
		out.Header().Set("X-Content-Type-Options", "nosniff")
		out.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(out, r)
	})
}

// isOurs tells whether a request's Host names this machine by number, or as
// localhost, and our port.
func (w *Web) isOurs(host string) bool {
	name, port, err := net.SplitHostPort(host)
	_, ours, _ := net.SplitHostPort(w.listener.Addr().String())
	return err == nil && port == ours && (name == "127.0.0.1" || name == "localhost")
}

// do does what a button asks for.
func (w *Web) do(out http.ResponseWriter, r *http.Request) {
	token := []byte(r.Header.Get(tokenName))
	if subtle.ConstantTimeCompare(token, []byte(w.token)) != 1 {
		http.Error(out, "open the page with the address that make play printed: the token in it is missing or wrong",
			http.StatusForbidden)
		return
	}

	var action Action
	body := json.NewDecoder(http.MaxBytesReader(out, r.Body, 4<<10))
	body.DisallowUnknownFields()
	if err := body.Decode(&action); err != nil {
		http.Error(out, "not a button of this page: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := w.play.Do(action); err != nil {
		w.play.journal.say(kindDone, "that didn't work: %v", err)
		http.Error(out, err.Error(), http.StatusConflict)
		return
	}
	out.WriteHeader(http.StatusNoContent)
}

// events streams the state and the log, as long as somebody reads them. A
// browser that comes back says which entry of the log it got last.
func (w *Web) events(out http.ResponseWriter, r *http.Request) {
	defer w.play.journal.read()()
	w.play.look()
	out.Header().Set("Content-Type", "text/event-stream")
	after, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if !send(out, "hello", 0, Hello{w.play.config.Chapter, w.play.offered()}) {
		return
	}

	for {
		v := w.play.journal.look(after)
		for _, e := range v.entries {
			after = e.ID
			if !send(out, "log", e.ID, e) {
				return
			}
		}
		if !send(out, "state", 0, v.state) {
			return
		}

		select {
		case <-time.After(eventPause):
		case <-r.Context().Done():
			return
		case <-w.ended:
			send(out, "end", 0, nil)
			return
		}
		select {
		case <-v.changed:
		case <-time.After(eventLife):
		case <-r.Context().Done():
			return
		case <-w.ended:
			send(out, "end", 0, nil)
			return
		}
	}
}

// send sends an event, with an id unless that is 0, and tells whether somebody
// may have got it.
func send(out http.ResponseWriter, kind string, id int, data any) (ok bool) {
	text, err := json.Marshal(data)
	if err != nil {
		return false
	}
	if id != 0 {
		fmt.Fprintf(out, "id: %d\n", id)
	}
	if _, err := fmt.Fprintf(out, "event: %s\ndata: %s\n\n", kind, text); err != nil {
		return false
	}
	return http.NewResponseController(out).Flush() == nil
}
