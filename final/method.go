// Methods: what answers a call, and where it runs. Most are made with Handle:
// an ordinary function of typed params, which may take its time. What answers
// at once, or computes, can do so in the loop and needs no goroutine.

package rpc

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
)

// A Method answers the calls of one name. There are three kinds, and programs
// can't add others:
//
//   - Handle makes one of a function of typed params. Each call has a goroutine
//     of its own: the function may block.
//   - A TaskMethod computes, in steps, which the loop does one by one.
//   - A Func answers at once, in the loop: the quickest, if it is quick.
//
// Whichever it is, an error that it returns becomes an error reply, with the
// method's name in front, and a panic costs that call only.
type Method interface {
	// answer returns the reply to a request, and blocks until the reply is
	// made. A server calls it for all but a TaskMethod, which would have the
	// loop for too long; Service.Call calls it for every Method.
	answer(ctx context.Context, req Request) Reply
}

// A Func is a Method that runs in the loop. While it does, nobody else is
// served by this worker: it must not block, nor compute for longer than about
// 0.1 ms. Its params are any JSON, and the Func's own, but they share memory
// with other requests: what is to be stored should be copied. Otherwise a few
// bytes keep thousands.
type Func func(params json.RawMessage) (Reply, error)

func (f Func) answer(_ context.Context, req Request) Reply {
	reply, err := f(req.Params)
	if err != nil {
		return failure(req, err)
	}
	return reply
}

// failure returns the error reply to a request.
func failure(req Request, err error) Reply {
	return ErrorReply(fmt.Errorf("%s: %w", req.Method, err))
}

// A handled is a Method that Handle has made.
type handled[P, R any] func(ctx context.Context, params P) (R, error)

// Handle returns a Method that decodes a call's params, calls f on a goroutine
// of its own and replies with f's result. The reply's kind is the method's name
// and "_r", as pi's is.
//
// Params that are missing, null or of another type than P get an error reply
// that says what P is; f isn't called. For the rest encoding/json decides: an
// object's missing members are zero, and unknown ones are passed over. What f
// returns must be JSON.
//
// The context ends when f has returned, when the connection is lost, and when
// ServeListener gives up what is unfinished at its end. A worker of Serve that
// does so exits: nothing that f does after its context's end is sure to happen
// then. PeerAddr says who calls.
//
// The server can't tell that a caller has stopped waiting: the protocol has no
// word for that, and a caller who has closed only the sending side still waits.
// So if f waits for something, it needs a timeout of its own.
//
// A connection has one call at a time, but many connections have many: what f
// shares with other calls needs a lock, and other workers, being processes,
// don't share it at all. What computes for long is better a TaskMethod: that
// leaves the processor to the loop in between.
func Handle[P, R any](f func(ctx context.Context, params P) (R, error)) Method {
	return handled[P, R](f)
}

func (f handled[P, R]) answer(ctx context.Context, req Request) Reply {
	params, err := parseParams[P](req.Params)
	if err != nil {
		return failure(req, err)
	}
	result, err := f(ctx, params)
	if err != nil {
		return failure(req, err)
	}
	return NewReply(req.Method+"_r", result)
}

// parseParams decodes params. Its error says what they must be.
func parseParams[P any](raw json.RawMessage) (params P, err error) {
	want := reflect.TypeFor[P]()
	if string(bytes.TrimSpace(raw)) == "null" { // Unmarshal takes it for anything
		return params, refuseNull(want)
	}

	err = json.Unmarshal(raw, &params)
	if err != nil {
		return params, explain(err, want)
	}
	return params, nil
}

// refuseNull says what params must be that are null.
func refuseNull(want reflect.Type) error {
	words := inWords(want)
	if words == anyJSON {
		return errors.New("params must be any JSON but null")
	}
	return fmt.Errorf("params must be %s, not null", words)
}

// explain turns an error of Unmarshal, which names types of Go, into one that
// names those of JSON.
func explain(err error, want reflect.Type) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) { // it is from the UnmarshalJSON or UnmarshalText of some type
		return fmt.Errorf("params must be %s: %w", inWords(want), err)
	}

	what := "params"
	switch {
	case wrong.Field != "":
		what = fmt.Sprintf("%q in params", wrong.Field)
	case wrong.Type != want:
		what = "what is in params"
	}

	got := "a JSON " + wrong.Value
	number, isNumber := strings.CutPrefix(wrong.Value, "number ")
	if isNumber {
		got = clip(number)
	}
	return fmt.Errorf("%s must be %s, not %s", what, inWords(wrong.Type), got)
}

// anyJSON is in words what an any or a RawMessage is decoded from.
const anyJSON = "any JSON"

var (
	rawType         = reflect.TypeFor[json.RawMessage]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// inWords says which JSON a type is decoded from.
func inWords(t reflect.Type) string {
	pointer := reflect.PointerTo(t)
	switch {
	case t == rawType:
		return anyJSON
	case pointer.Implements(unmarshalerType), pointer.Implements(textType):
		return "a " + t.String()
	}

	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Int8, reflect.Int16, reflect.Int32:
		return fmt.Sprintf("a whole number from %d to %d", -1<<(t.Bits()-1), 1<<(t.Bits()-1)-1)
	case reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return "a whole number from 0 on"
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<t.Bits()-1)
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Array:
		return "an array"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a string, in base64"
		}
		return "an array"
	case reflect.Pointer:
		return inWords(t.Elem())
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return anyJSON
		}
	}
	return "a " + t.String()
}

// peerKey is the key of a caller's address in a context.
type peerKey struct{}

// PeerAddr returns the caller's address, from the context that Handle's
// function was given. It is the zero AddrPort for another context, and if the
// connection isn't TCP.
func PeerAddr(ctx context.Context) netip.AddrPort {
	addr, _ := ctx.Value(peerKey{}).(netip.AddrPort)
	return addr
}
