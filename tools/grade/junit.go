// junit.xml: the form in which many programs read results of tests.

package grade

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name string `xml:"name,attr"`

	// How many.
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Skipped  int `xml:"skipped,attr"`
	Errors   int `xml:"errors,attr"`

	Time    string      `xml:"time,attr"`
	Cases   []junitCase `xml:"testcase"`
	Problem string      `xml:"system-err,omitempty"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Failure *junitReason `xml:"failure"`
	Skipped *junitReason `xml:"skipped"`
	Error   *junitReason `xml:"error"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// junit returns the file of a class: a suite for each student.
func junit(results []*Result) ([]byte, error) {
	var all junitSuites
	for _, r := range results {
		s := junitSuite{
			Name: r.Who, Tests: len(r.Verdicts), Failures: len(r.With(Failed)), Skipped: len(r.With(Skipped)),
			Errors: len(r.With(Unreached)), Time: fmt.Sprintf("%.0f", r.Took.Seconds()), Problem: printable(r.Problem),
		}
		for _, v := range r.Verdicts {
			c := junitCase{Class: r.Who, Name: v.Number + " " + v.Sentence}
			reason := &junitReason{Message: string(v.Status), Text: printable(v.Report)}
			switch v.Status {
			case Failed:
				c.Failure = reason
			case Skipped:
				c.Skipped = reason
			case Unreached:
				c.Error = reason
			}
			s.Cases = append(s.Cases, c)
		}
		all.Suites = append(all.Suites, s)
	}

	text, err := xml.MarshalIndent(all, "", "  ")
	return append([]byte(xml.Header), append(text, '\n')...), err
}

// printable returns a text without what XML can't hold, whatever a program has
// printed.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != utf8.RuneError && r != 0xfffe && r != 0xffff {
			return r
		}
		return '·'
	}, text)
}
