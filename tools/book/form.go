// The form of a chapter: which sections it has, and what belongs into them.

package book

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// longDiff is how many lines a diff may have that isn't folded.
const longDiff = 60

// boxLabels stand in bold in the quotation below a chapter's title.
var boxLabels = []string{"The question", "You will", "You write", "Hours"}

// A section is one of those that every chapter has. A chapter may have others
// as well.
type section struct {
	title string
	free  bool // may stand anywhere; the others stand in the order of the list
	least int  // folded parts
	has   []*regexp.Regexp
	want  string // has, in words
}

var chapterSections = []section{
	{title: "Before"},
	{title: "The idea", least: 1, want: "a diagram (mermaid or an .svg) and a folded `How the Python tutorial does it`",
		has: []*regexp.Regexp{regexp.MustCompile("(?m)^```mermaid|\\.svg\\)|\\.svg\""),
			regexp.MustCompile(`<summary>How the Python tutorial does it</summary>`)}},
	{title: "Build it", want: "`make begin STEP=…`, how many lines it takes to the first ✓ (`… lines`), or " +
		"what is green when (`After this, …`)",
		has: []*regexp.Regexp{regexp.MustCompile(`make begin STEP=[0-9]`), regexp.MustCompile(`\b[0-9]+ lines`),
			regexp.MustCompile(`\bAfter this\b`)}},
	{title: "See it", want: "a block of commands", has: []*regexp.Regexp{regexp.MustCompile("```")}},
	{title: "Break it", least: 2, want: "**Predict first**",
		has: []*regexp.Regexp{regexp.MustCompile(`\*\*Predict first`)}},
	{title: "Where it goes wrong", free: true, want: "the table | Symptom | Usual cause | Look |",
		has: []*regexp.Regexp{regexp.MustCompile(`(?m)^\| *Symptom *\| *Usual cause *\| *Look *\|`)}},
	{title: "Exercises", least: 3},
	{title: "Further reading", want: "a list of three or more",
		has: []*regexp.Regexp{regexp.MustCompile(`(?s)(\n- .*){3}`)}},
}

// CheckChapter returns what is wrong with the form of the text of a chapter.
// root is the module's directory.
func CheckChapter(root string, d *Doc, number int) (problems []string) {
	all := d.headings()
	if len(all) == 0 || all[0].level != 1 || !strings.HasPrefix(all[0].text, fmt.Sprintf("Chapter %d: ", number)) {
		return []string{d.at(0, "a chapter begins with `# Chapter %d: …`", number)}
	}

	problems = d.checkBox(all)
	type span struct{ begin, end int }
	found := map[string]span{}
	for i, h := range all {
		if h.level != 2 {
			continue
		}

		end := len(d.lines)
		for _, next := range all[i+1:] {
			if next.level == 2 {
				end = next.line
				break
			}
		}
		found[h.text] = span{h.line, end}
	}

	before, at := all[0].text, 0 // the section that the next must not precede
	for _, s := range chapterSections {
		where, ok := found[s.title]
		if !ok {
			problems = append(problems, d.at(0, "there is no section ## %s", s.title))
			continue
		}

		if !s.free {
			if where.begin < at {
				problems = append(problems, d.at(where.begin, "## %s stands before ## %s", s.title, before))
			}
			before, at = s.title, where.begin
		}

		problems = append(problems, d.checkSection(s, where.begin, where.end)...)
		if s.title == "Build it" {
			problems = append(problems, d.checkBuild(root, number, where.begin, where.end)...)
		}
	}

	return problems
}

// checkBox looks at what is between the title and the first section.
func (d *Doc) checkBox(all []heading) (problems []string) {
	end := len(d.lines)
	if len(all) > 1 {
		end = all[1].line
	}

	var box []string
	for _, line := range d.lines[1:end] {
		if strings.HasPrefix(line, ">") {
			box = append(box, line)
		}
	}

	for _, label := range boxLabels {
		if !strings.Contains(strings.Join(box, "\n"), "**"+label) {
			problems = append(problems,
				d.at(0, "the box below the title, lines that begin with >, has no **%s**", label))
		}
	}
	return problems
}

// checkSection looks at lines begin to end.
func (d *Doc) checkSection(s section, begin, end int) (problems []string) {
	body := strings.Join(d.lines[begin:end], "\n")
	for _, re := range s.has {
		if !re.MatchString(body) {
			problems = append(problems, d.at(begin, "## %s lacks %s", s.title, s.want))
			break
		}
	}

	folded := 0
	for _, line := range d.masked()[begin:end] {
		folded += strings.Count(line, "<details")
	}
	if folded < s.least {
		problems = append(problems,
			d.at(begin, "## %s has %d folded parts (<details>), and must have %d or more", s.title, folded, s.least))
	}
	return problems
}

var milestoneRange = regexp.MustCompile(`\b([0-9]+)\.([0-9]+)(?:[–-](?:[0-9]+\.)?([0-9]+))?`)

// checkBuild looks whether all milestones have a place.
func (d *Doc) checkBuild(root string, number, begin, end int) (problems []string) {
	named := map[int]bool{}
	for _, h := range d.headings() {
		if h.line <= begin || h.line >= end || h.level != 3 {
			continue
		}

		for _, m := range milestoneRange.FindAllStringSubmatch(h.text, -1) {
			from, _ := strconv.Atoi(m[2])
			to, err := strconv.Atoi(m[3])
			if err != nil {
				to = from
			}
			for i := from; i <= to && m[1] == strconv.Itoa(number); i++ {
				named[i] = true
			}
		}
	}

	spec, err := os.ReadFile(filepath.Join(root, path.Dir(d.Path), fmt.Sprintf("spec%d_test.go", number)))
	if err != nil {
		return append(problems, d.at(begin, "look for the milestones: %v", err))
	}

	var missing []string
	milestone := regexp.MustCompile(fmt.Sprintf(`"%d\.([0-9]+) `, number))
	for _, m := range milestone.FindAllStringSubmatch(string(spec), -1) {
		name := fmt.Sprintf("%d.%s", number, m[1])
		if n, _ := strconv.Atoi(m[1]); !named[n] && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}

	if missing != nil {
		problems = append(problems, d.at(begin, "no heading of ## Build it, such as ### %d.1–%d.3 …, has the "+
			"milestones %s", number, number, strings.Join(missing, ", ")))
	}
	return problems
}

// CheckFolds returns what is wrong with the folded parts of any text: those
// that aren't closed, those whose markdown would show as it is written, and
// diffs that ought to be folded.
func (d *Doc) CheckFolds() (problems []string) {
	var open []int // where the parts begin that the present line is in
	for i, line := range d.masked() {
		line = strings.TrimSpace(line)
		for range strings.Count(line, "<details") {
			open = append(open, i)
		}

		if strings.HasSuffix(line, "</summary>") && i+1 < len(d.lines) && strings.TrimSpace(d.lines[i+1]) != "" {
			problems = append(problems,
				d.at(i, "leave an empty line after </summary>: without, the markdown below isn't rendered"))
		}

		for range strings.Count(line, "</details>") {
			if len(open) == 0 {
				problems = append(problems, d.at(i, "this </details> closes nothing"))
				continue
			}
			open = open[:len(open)-1]
		}

		for _, b := range d.blocks {
			isDiff := b.first-1 == i+1 && b.marker != nil && b.marker.verb == "diff"
			if isDiff && b.last-b.first > longDiff && len(open) == 0 {
				problems = append(problems, d.at(i, "a diff of more than %d lines belongs into <details>", longDiff))
			}
		}
	}

	for _, i := range open {
		problems = append(problems, d.at(i, "this <details> isn't closed"))
	}
	return problems
}
