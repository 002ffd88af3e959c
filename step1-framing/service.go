// The service: what the server can do for a caller. It is a pure function from
// request to reply and knows nothing of sockets, so that every later server,
// however it moves the bytes, gives the same answers.

package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
)

// MaxPiTerms is the largest n that Pi accepts: some tenths of a second of
// computing.
const MaxPiTerms = 100_000_000

// A Method computes the reply to one call from its params, any JSON. An error
// becomes an error reply.
type Method func(params json.RawMessage) (Reply, error)

// A Service is a set of methods by name.
type Service map[string]Method

// NewService returns the service of this workbook: ping and pi.
func NewService() Service {
	return Service{"ping": Ping, "pi": Pi}
}

// Idempotent reports whether a method of NewService may run twice for one call.
// Both may: they only compute. A client asks this when a connection breaks in
// the middle of a call: the call may have run, and making it again runs it
// twice. It also asks before it sends a call to a second server while the first
// may still be at work.
func Idempotent(method string) bool {
	return method == "ping" || method == "pi"
}

// Answer returns the reply to one request body. Whatever is wrong with the
// request, there is a reply, and it says what.
func (s Service) Answer(body []byte) Reply {
	req, err := ParseRequest(body)
	if err != nil {
		return ErrorReply(err)
	}
	return s.Call(req)
}

// Call returns the reply to a request.
func (s Service) Call(req Request) Reply {
	method, ok := s[req.Method]
	if !ok {
		return ErrorReply(fmt.Errorf("unknown method %q", clip(req.Method)))
	}
	if req.Params == nil {
		return ErrorReply(fmt.Errorf(`%s: "params" is missing`, req.Method))
	}

	reply, err := method(req.Params)
	if err != nil {
		return ErrorReply(fmt.Errorf("%s: %w", req.Method, err))
	}
	return reply
}

// LogCall writes one line about a request body to the log.
func LogCall(body []byte) {
	req, _ := ParseRequest(body) // what can't be read is answered, and logged empty
	slog.Info("call", "pid", os.Getpid(), "method", clip(req.Method), "params", clip(string(req.Params)))
}

// Ping echoes its params.
func Ping(params json.RawMessage) (Reply, error) {
	return Reply{Kind: "pong", Result: params}, nil
}

// Pi computes π from n+1 terms of a series, n being its params: a whole number
// from 0 to MaxPiTerms.
func Pi(params json.RawMessage) (Reply, error) {
	n, err := PiTerms(params)
	if err != nil {
		return Reply{}, err
	}
	return NewReply("pi_r", PiSum(n)), nil
}

// PiTerms reads the params of Pi.
func PiTerms(params json.RawMessage) (int, error) {
	var n *int // a pointer, because null is no number: into an int it would pass as 0
	err := json.Unmarshal(params, &n)
	if err != nil || n == nil || *n < 0 || *n > MaxPiTerms {
		return 0, fmt.Errorf("params must be a whole number from 0 to %d, not %s", MaxPiTerms, clip(string(params)))
	}
	return *n, nil
}

// PiSum returns sqrt(8 Σ 1/(2i+1)²) for i from 0 to n, which tends to π with
// an error of very nearly 1/(π(n+1)). The order of operations is part of the
// protocol: floating point adds up to other bits in another order.
func PiSum(n int) float64 {
	sum := 0.0
	for i := range n + 1 {
		odd := float64(2*i + 1)
		sum += 1 / odd / odd
	}
	return math.Sqrt(8 * sum)
}

// clip shortens what a stranger sent to what belongs in a message.
func clip(s string) string {
	const maxQuote = 60
	if len(s) <= maxQuote {
		return s
	}
	return s[:maxQuote] + "…"
}
