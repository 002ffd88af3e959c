// The picture of a milestone's run. The specification says what it shows, and
// it is drawn here: whatever has been said, what a student gets is our page, on
// which all words are escaped.

package grade

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/rpcworkbook/internal/runpicture"
)

// What is drawn at most. The specification keeps far less; but where a program
// runs as the same user, it can say anything in its name.
const (
	maxPicture = 1 << 20 // bytes of JSON
	maxEvents  = 1000
	maxEnds    = 10_000 // of all arrows together
)

// draw returns the page with the picture of a run, which is given as JSON, or
// "" if there is none, or none that can be drawn. If a milestone has parts that
// are tests of their own, several runs may be given: the first one is drawn,
// which is that of the part.
func draw(text []byte) string {
	if len(text) > maxPicture {
		return ""
	}
	var run runpicture.Run
	err := json.NewDecoder(bytes.NewReader(text)).Decode(&run)
	if err != nil || len(run.Events) > maxEvents {
		return ""
	}

	ends := 0
	for _, e := range run.Events {
		ends += len(e.To)
	}
	if ends > maxEnds {
		return ""
	}

	drawn, err := run.Page()
	if err != nil {
		return ""
	}
	return string(drawn)
}

// PictureFile returns the name of the file with the picture, "" if there is
// none.
func (v Verdict) PictureFile() string {
	if v.Picture == "" {
		return ""
	}
	return pictureFile(v.Number)
}

func pictureFile(number string) string { return "picture-" + number + ".html" }

// writePictures writes the student's picture, and removes those that an earlier
// run has written.
func (c *Class) writePictures(r *Result) error {
	for _, v := range r.Verdicts {
		name := filepath.Join(r.Who, pictureFile(v.Number))
		if v.Picture != "" {
			err := c.writeOne(name, []byte(v.Picture))
			if err != nil {
				return err
			}
			continue
		}

		err := os.Remove(filepath.Join(c.Out, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an old picture: %w", err)
		}
	}
	return nil
}
