// Tests of leaving out what earlier chapters' specifications ask.

package harness

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWithoutEarlier(t *testing.T) {
	assert.Equal(t, "^TestFault", withoutEarlier("/x/step4-signals", "^TestFault"), "nobody asked for it")

	t.Setenv(earlierVariable, "first")
	const others = `^TestSpec[0-3]$/^[0-9]+\.([2-9]|[0-9]{2,})_`
	assert.Equal(t, others, withoutEarlier("/x/step4-signals", ""))
	assert.Equal(t, "^TestFault|"+others, withoutEarlier("/x/step4-signals", "^TestFault"))
	assert.Equal(t, "^TestFault", withoutEarlier("/x/final", "^TestFault"), "it asks all")
}
