// The page of a student, as Markdown.

package grade

import (
	"fmt"
	"strings"
)

// signs are those of make try.
var signs = map[Status]string{Passed: "✓", Failed: "✗", Skipped: "–", Unreached: " "}

// markdown returns the page of one student: what passed, and the reports of
// what did not.
func (c *Class) markdown(r *Result) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, chapter %s\n\n%s\n", r.Who, c.Step, r.score())
	if r.Problem != "" {
		fmt.Fprintf(&b, "\nNothing more could be tested:\n\n%s", indented(r.Problem))
	}

	b.WriteString("\n| | milestone |\n|---|---|\n")
	for _, v := range r.Verdicts {
		fmt.Fprintf(&b, "| %s | %s %s |\n", signs[v.Status], v.Number, strings.ReplaceAll(v.Sentence, "|", `\|`))
	}
	b.WriteString("\n✓ passed, ✗ failed, – skipped, nothing: not reached.\n")

	for _, v := range r.Verdicts {
		if v.Report != "" {
			fmt.Fprintf(&b, "\n## %s %s\n\n%s", v.Number, v.Status, indented(v.Report))
		}
		if name := v.PictureFile(); name != "" {
			fmt.Fprintf(&b, "\nThe run as a picture: [%s](%s)\n", name, name)
		}
	}
	return []byte(b.String())
}

// score says in a sentence what came of a submission.
func (r *Result) score() string {
	return fmt.Sprintf("%d of %d milestones passed, in %.0f s.", len(r.With(Passed)), len(r.Verdicts), r.Took.Seconds())
}

// indented makes code of a text, whatever is in it.
func indented(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}
