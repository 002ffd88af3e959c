// What one sees and does on the page.

package browser

import (
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
)

const (
	workersOfA    = `article[aria-label="server A"] [data-role=worker]`
	living        = `[...document.querySelectorAll('` + workersOfA + `')].filter(e => e.dataset.state !== "zombie")`
	callsAnswered = `Number(document.querySelector("[data-slot=rate]")?.textContent) > 0`
	listText      = `document.querySelector("#client [data-slot=list]").textContent`
)

func TestPage(t *testing.T) {
	address := startPlay(t)
	page := open(t, address, "light")

	page.await("two servers with two workers each", `document.querySelectorAll("[data-role=master]").length === 2 &&
		document.querySelectorAll("[data-role=worker]").length === 4`)
	page.await("two znodes", `document.querySelectorAll("#zookeeper [data-slot=znodes] li").length === 2`)
	page.await("two servers in the client's list", listText+`.split(",").length === 2`)
	page.await("calls that are answered", callsAnswered)
	assert.NotContains(t, evaluate[string](page, "location.href"), "token", "nobody reads it on a projector")
	page.await("a chart that falls", `(() => {
		const dots = [...document.querySelectorAll("#chart circle")]
			.map(c => ["cx", "cy"].map(name => Number(c.getAttribute(name)))).sort((a, b) => a[0] - b[0]);
		return dots.length >= 15 && dots.every((d, i) => i === 0 || d[1] > dots[i - 1][1]);
	})()`)
	page.shoot("light")

	victim := evaluate[string](page, living+`[0].querySelector(".pid").textContent`)
	page.press(`[aria-label^="kill -9 `+victim+`:"]`, kb.Enter)
	page.await("another worker in its place", living+`.length === 2 && `+
		living+`.every(e => e.querySelector(".pid").textContent !== "`+victim+`")`)
	page.await("words about it",
		`/`+victim+` reaped, replaced by \d+ after/.test(document.querySelector("#log").innerText)`)

	page.press(`[aria-label$="freeze ZooKeeper"]`, kb.Enter)
	page.await("the list marked stale", `!document.querySelector("#client [data-slot=stale]").hidden`)
	page.shoot("frozen")
	page.press(`[aria-label$="let ZooKeeper go on"]`, kb.Enter)
	page.await("the list fresh again", `document.querySelector("#client [data-slot=stale]").hidden`)
	page.quiet()
}

func TestDark(t *testing.T) {
	page := open(t, startPlay(t), "dark")
	page.await("calls that are answered", callsAnswered)
	page.await("results in the chart", `document.querySelectorAll("#chart circle").length >= 15`)
	page.shoot("dark")
	page.quiet()
}

// A chapter links to scenarios. The page asks before each begins, and the
// second one waits until the outcome of the first has been read.
func TestScenariosFromTheAddress(t *testing.T) {
	page := open(t, startPlay(t)+"#kill-worker,end-session", "light")
	page.await("a question", `document.querySelector("#question").open`)
	assert.Equal(t, "One worker is killed", page.text("#question-title"))
	page.shoot("question")
	page.press("#question input[value='0']", " ")
	page.press("#question button.main", kb.Enter)
	page.await("the outcome", `document.querySelector("#outcome").innerText.includes("You were right.")`)

	page.press("#outcome button", kb.Enter)
	page.await("the next question", `document.querySelector("#question").open`)
	assert.Equal(t, "A session ends", page.text("#question-title"))
	page.press("#question input[value='1']", " ")
	page.press("#question button.main", kb.Enter)
	page.await("the outcome", `document.querySelector("#outcome").innerText.includes("not what you expected")`)
	page.shoot("outcome")
	page.quiet()
}
