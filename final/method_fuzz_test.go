// Fuzzing of params, which come from strangers.

package rpc

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Whatever JSON comes in, it is decoded as encoding/json does, or refused with
// an error that begins with what params must be.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{
		`null`, ` 1 `, `-1.5e3`, `"text"`, `true`, `["a",2]`, `[null]`,
		`{"X":1,"Label":"a"}`, `{"X":"1"}`, `{"x":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return // no request with such params is handed on
		}
		decodes[int8](t, raw)
		decodes[string](t, raw)
		decodes[[]*bool](t, raw)
		decodes[map[string]float64](t, raw)
		decodes[struct {
			X     int
			Label []string
		}](t, raw)
		decodes[any](t, raw)
	})
}

func decodes[P any](t *testing.T, raw []byte) {
	params, err := parseParams[P](raw)
	var want P
	wantErr := json.Unmarshal(raw, &want)
	if wantErr != nil || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		assert.ErrorContains(t, err, "must be")
		return
	}
	assert.NoError(t, err)
	assert.Equal(t, want, params)
}
