// Submissions: what is in the directory that a class has handed in.

package grade

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The files of a submission in another language: each has the line that starts
// a program. What is in the second is the client of chapter 6.
const (
	commandFile = "command"
	clientFile  = "command-client"
)

// A submission is what one student handed in.
type submission struct {
	who string // the name of its directory
	dir string

	// What to ask: either the directory of a Go program, relative to dir, or
	// commands that are run in it.
	program         string
	command, client string
}

// find returns the submissions in a directory, by name: each of its directories
// is one, but for those whose name begins with a dot.
func find(from string) (all []submission, err error) {
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil, fmt.Errorf("look for submissions: %w", err)
	}

	for _, entry := range entries {
		dir := filepath.Join(from, entry.Name())
		info, err := os.Stat(dir) // of what a link leads to
		if err == nil && info.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			all = append(all, submission{who: entry.Name(), dir: dir})
		}
	}

	if len(all) == 0 {
		return nil, fmt.Errorf("no submission in %s: it is to have a directory for each student", from)
	}
	return all, nil
}

// look finds out what the submission is, whose copy is in that directory. The
// error is for its author.
func (s *submission) look(copied string) error {
	for _, dir := range []string{".", "_mine"} {
		command, err := readCommand(filepath.Join(copied, dir, commandFile))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}

		client, err := readCommand(filepath.Join(copied, dir, clientFile))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		s.program, s.command, s.client = dir, command, client
		return nil
	}

	for _, dir := range []string{"_mine", "."} {
		found, _ := filepath.Glob(filepath.Join(copied, dir, "*.go")) // the pattern is a good one
		if len(found) > 0 {
			s.program = dir
			return nil
		}
	}
	return errors.New("there is no Go program in it or in _mine, nor a file command with the line that starts one")
}

// readCommand returns the line of a file that is no blank and no comment.
func readCommand(path string) (command string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}

	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if command != "" {
			return "", fmt.Errorf("its file %s has more than one line: which starts the program?", filepath.Base(path))
		}
		command = line
	}

	if !strings.Contains(command, "{") {
		return "", fmt.Errorf("its file %s is to have the line that starts the program, "+
			"such as: python3 server.py {host} {port}", filepath.Base(path))
	}
	return command, nil
}
