// Play is what make play runs: it starts servers and a client, with a real
// ZooKeeper where the chapter has one, and serves a page that shows them and
// lets you do damage to them. The page's address is on its standard output. It
// ends at Ctrl-C, and leaves nothing running, however it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/play"
	"example.com/rpcworkbook/internal/proc"
)

func main() {
	step := flag.String("step", "",
		"the `CHAPTER`, 3 to 6, whose program in _mine is shown; the whole system without")
	program := flag.String("program", "",
		"another program: a `DIR`, or a command such as 'python3 server.py {host} {port} {workers}'")
	open := flag.Bool("open", false, "open the page in a browser")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once, and the watchdog cleans up
	err := run(ctx, *step, *program, *open)
	proc.End()
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "play:", err)
		os.Exit(1)
	}
}

// run shows the chapter's program until ctx ends.
func run(ctx context.Context, step, program string, open bool) error {
	chapter, err := number(step)
	if err != nil {
		return err
	}
	book, err := carry.FindRoot()
	if err != nil {
		return err
	}

	p, err := play.Start(ctx, play.Config{Chapter: chapter, Program: program, Book: book})
	if err != nil {
		return err
	}
	web, err := play.NewWeb(p)
	if err != nil {
		return errors.Join(err, leftOver(p.Close()))
	}

	failed := make(chan error, 1)
	go func() { failed <- web.Serve() }()
	fmt.Printf("The page is at %s\nCtrl-C ends it, and all that it shows.\n", web.Address())
	if open {
		openBrowser(web.Address())
	}

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	fmt.Println("\nEnding all that runs.")
	web.Close()
	return errors.Join(err, leftOver(p.Close()))
}

// number reads the chapter; 0 is all of them.
func number(step string) (int, error) {
	switch step {
	case "":
		return 0, nil
	case "3", "4", "5", "6":
		return int(step[0] - '0'), nil
	}
	return 0, fmt.Errorf("STEP=%s: the page shows chapters 3 to 6, as in make play STEP=3", step)
}

// leftOver tells of what had to be killed.
func leftOver(left []string) error {
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("had to be killed: %s", strings.Join(left, "; "))
}

// openBrowser opens the page, if there is a program for that.
func openBrowser(address string) {
	opener := "xdg-open"
	if runtime.GOOS == "darwin" {
		opener = "open"
	}
	if err := exec.Command(opener, address).Start(); err != nil {
		fmt.Fprintln(os.Stderr, "play: no browser could be opened:", err)
	}
}
