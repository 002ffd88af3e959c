// make progress: all milestones at a glance, as last tried.

package chapter

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
)

// progressFile is in Mine and holds what came of each milestone when it was
// tried last: an object of numbers and signs.
const progressFile = ".progress.json"

// Progress shows what came of the milestones of all chapters when they were
// tried last.
func (b *Book) Progress() error {
	signs, err := b.progress()
	if err != nil {
		return err
	}

	for _, c := range b.chapters {
		milestones, err := b.Milestones(c)
		if err != nil {
			return err
		}

		line, green, red := "", 0, ""
		for _, m := range milestones {
			sign := cmp.Or(signs[m.Number], "·")
			line += sign
			switch sign {
			case "✓":
				green++
			case "✗":
				red += " " + m.Number
			}
		}
		if red != "" {
			red = ", red:" + red
		}
		b.say("chapter %d  %s  %d of %d%s\n", c.Number, line, green, len(milestones), red)
	}

	b.say("\n✓ green, ✗ red, – not asked of your program, · not tried yet: as make try found them last\n")
	return nil
}

// progress returns the signs of milestones that have been tried, by number.
func (b *Book) progress() (signs map[string]string, err error) {
	signs = map[string]string{}
	text, err := os.ReadFile(filepath.Join(b.mine, progressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return signs, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &signs)
	}
	if err != nil {
		return nil, fmt.Errorf("read what came of milestones: %w", err)
	}
	return signs, nil
}

// remember adds signs to the progress.
func (b *Book) remember(signs map[string]string) error {
	all, err := b.progress()
	if err != nil {
		all = map[string]string{} // a file that nobody can read is of no use
	}
	maps.Copy(all, signs)

	text, err := json.MarshalIndent(all, "", "\t")
	if err == nil {
		err = os.WriteFile(filepath.Join(b.mine, progressFile), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember what came of milestones: %w", err)
	}
	return nil
}
