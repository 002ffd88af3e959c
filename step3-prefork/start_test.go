// Tests of the start: what a worker has, whatever the master was given.

//go:build unix

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

// startFromShell starts this chapter's server with two workers from a shell
// that has run some commands before, and waits until all are there.
func startFromShell(t *testing.T, commands string, env ...string) *harness.Server {
	t.Helper()
	program := harness.Build(t, ".")
	s := harness.StartServer(t, "/bin/sh", func(host, port string) []string {
		return []string{"-c", commands + ` exec "$@"`, "sh", program, "-workers", "2", host, port}
	}, harness.Options{Env: env})
	s.WaitServing(t, 2)
	return s
}

// environ returns the environment that a process was started with, in order.
func environ(t *testing.T, pid int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	require.NoError(t, err)
	entries := strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
	slices.Sort(entries)
	return entries
}

// An empty marker in front of ours would hide it, and each worker would be a
// master.
func TestTheMarkerIsTheOnlyOneInAWorkersEnvironment(t *testing.T) {
	harness.NeedProc(t)
	for _, inherited := range []string{"", workerMark + "=", "SOMETHING=else"} {
		var env []string
		if inherited != "" {
			env = append(env, inherited)
		}
		s := startFromShell(t, "", env...)

		want := slices.DeleteFunc(environ(t, s.PID), func(entry string) bool {
			return strings.HasPrefix(entry, workerMark+"=")
		})
		want = append(want, workerMark+"=1")
		slices.Sort(want)

		assert.Len(t, s.Workers(t), 2)
		for _, pid := range s.Workers(t) {
			assert.Equal(t, want, environ(t, pid))
		}
		s.Kill()
	}
}

// As scripts do that must run once: "exec 9>lock; flock 9". The lock would last
// as long as any worker.
func TestWorkersDontGetWhatTheMasterInherited(t *testing.T) {
	harness.NeedProc(t)
	lock := t.TempDir() + "/lock"
	s := startFromShell(t, fmt.Sprintf("exec 9>'%s';", lock))
	assert.Equal(t, lock, harness.Descriptors(t, s.PID)[9], "the master keeps it")

	master := slices.Collect(maps.Values(harness.Descriptors(t, s.PID)))
	for _, pid := range s.Workers(t) {
		open := harness.Descriptors(t, pid)
		for fd := range readyFD + 1 {
			assert.NotEmpty(t, open[fd], "descriptor %d of worker %d", fd, pid)
		}
		for fd, target := range open {
			// Go itself keeps some open in every process, to see what
			// processors it may use.
			its := strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/sys/fs/cgroup/")
			listener := target == open[listenerFD] // or a duplicate of it
			assert.True(t, fd <= readyFD || its || listener || !slices.Contains(master, target),
				"descriptor %d of worker %d is the master's %s", fd, pid, target)
		}
	}
}

// In a container without /proc, for example.
func TestMasterWithoutProc(t *testing.T) {
	harness.NeedProc(t) // ourselves, to look at it
	const without = "mount -t tmpfs none /proc"
	err := exec.Command("unshare", "-rm", "sh", "-c", without).Run()
	if err != nil {
		t.Skip("this system lets nobody take /proc away:", err)
	}
	s := startFromShell(t, "exec unshare -rm sh -c '"+without+` && exec "$@"' sh "$@";`)
	assert.Len(t, s.Workers(t), 2)
}
