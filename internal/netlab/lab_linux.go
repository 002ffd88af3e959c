// The lab: hosts, each a network namespace with a TUN device for its only
// interface. What the host sends, the router reads from the device, and what
// the router writes there, the host receives.

package netlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const tunDevice = "/dev/net/tun"

// Missing says what this machine lacks for a Lab, in words for its user; "" if
// nothing.
func Missing() string {
	if _, err := os.Stat(tunDevice); err != nil {
		return fmt.Sprintf("it needs TUN devices, and %s isn't there (%v): as root, try modprobe tun", tunDevice, err)
	}

	h, err := newHost("trial", 0)
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES):
		const needs = "it needs root, or the capabilities CAP_SYS_ADMIN and CAP_NET_ADMIN, " +
			"to make network namespaces (%v)"
		return fmt.Sprintf(needs, err)
	case err != nil:
		return fmt.Sprintf("this kernel can't make hosts of network namespaces and TUN devices: %v", err)
	}

	if err := h.close(); err != nil {
		return err.Error()
	}
	return ""
}

// A Lab is a network of hosts, each of which reaches every other one. Its
// methods are safe for concurrent use.
type Lab struct {
	router *router

	mu    sync.Mutex
	hosts []*Host
}

// A Host is on the network, and on no other.
type Host struct {
	Name string
	Addr string // its IPv4 address, the same in every Lab

	port int // of the router
	ns   *os.File
	tun  *os.File
	gone <-chan struct{} // closed when the router has left
}

// A Link is the way from one host to another; the way back is another Link.
type Link struct{ From, To *Host }

// New returns a Lab without hosts. What is random in it follows from the seed:
// the n-th packet of a link draws the same numbers in every Lab of that seed.
func New(seed uint64) *Lab { return &Lab{router: newRouter(seed)} }

// Add makes a host. The name is for people.
func (l *Lab) Add(name string) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.hosts) == maxHosts {
		return nil, fmt.Errorf("a lab has at most %d hosts", maxHosts)
	}
	h, err := newHost(name, len(l.hosts))
	if err != nil {
		return nil, fmt.Errorf("make the host %s: %w", name, err)
	}

	h.port, h.gone = l.router.plug(h.tun)
	l.hosts = append(l.hosts, h)
	return h, nil
}

// Impair applies a rule to some links until heal is called. Rules of several
// calls add up.
func (l *Lab) Impair(r Rule, links ...Link) (heal func()) {
	ways := make([]direction, len(links))
	for i, link := range links {
		ways[i] = direction{link.From.port, link.To.port}
	}
	return l.router.impair(r, ways...)
}

// Rule returns what applies to a link at the moment.
func (l *Lab) Rule(from, to *Host) Rule {
	_, rule := l.router.look(direction{from.port, to.port})
	return rule
}

// Packets returns how many packets have arrived, or will, and how many were
// lost.
func (l *Lab) Packets() (arrived, lost int64) { return l.router.passed.Load(), l.router.lost.Load() }

// Close takes the network down. The processes on its hosts must have ended, or
// be about to: the error names those that are still there after two seconds,
// and whose namespaces therefore stay.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	deadline := time.Now().Add(2 * time.Second)
	var errs []error
	for _, h := range l.hosts {
		left, err := h.processes()
		for len(left) > 0 && err == nil && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
			left, err = h.processes()
		}
		if len(left) > 0 {
			err = fmt.Errorf("processes left on the host %s: %v", h.Name, left)
		}
		errs = append(errs, err, h.close())
	}

	for _, h := range l.hosts {
		<-h.gone
	}
	l.router.end()
	l.hosts = nil
	return errors.Join(errs...)
}

// Between returns the links between any of one group of hosts and any of
// another, both ways.
func Between(some, others []*Host) (links []Link) {
	for _, a := range some {
		for _, b := range others {
			links = append(links, Link{a, b}, Link{b, a})
		}
	}
	return links
}

// Do calls f on the host: the sockets that f makes and the processes that it
// starts are there. That holds for this goroutine only, not for those that f
// starts, nor for looking up names.
func (h *Host) Do(f func()) {
	err := abroad(func() error { return enter(h.ns) }, f)
	if err != nil {
		panic(fmt.Sprintf("netlab: go to %s: %v", h.Name, err))
	}
}

// abroad calls f when leave has taken the thread to another namespace, and
// brings it home after that. Without the error of leave, f has been called.
func abroad(leave func() error, f func()) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err == nil {
		defer home.Close()
		err = leave()
	}
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}

	// A thread that can't come home must never serve another goroutine: it
	// stays locked, and ends with this one.
	defer func() {
		if err := enter(home); err != nil {
			panic(fmt.Sprintf("netlab: come home: %v", err))
		}
		runtime.UnlockOSThread()
	}()
	f()
	return nil
}

// Enter returns the beginning of a command line that runs a program on the
// host, for somebody who wants to look around there. It works as long as this
// process runs.
func (h *Host) Enter() string {
	return fmt.Sprintf("nsenter --net=/proc/%d/fd/%d", os.Getpid(), h.ns.Fd())
}

// processes returns the pids of the processes that are on the host, this one
// excepted, whose threads come and go.
func (h *Host) processes() (pids []int, err error) {
	var want unix.Stat_t
	if err := unix.Fstat(int(h.ns.Fd()), &want); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}

	names, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var got unix.Stat_t
		if unix.Stat(name, &got) == nil && got.Dev == want.Dev && got.Ino == want.Ino { // else it has ended
			pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
			pids = append(pids, pid)
		}
	}

	slices.Sort(pids)
	return slices.DeleteFunc(pids, func(pid int) bool { return pid == os.Getpid() }), nil
}

func enter(ns *os.File) error {
	return os.NewSyscallError("setns", unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET))
}

func (h *Host) close() error { return errors.Join(h.tun.Close(), h.ns.Close()) }

// newHost makes a namespace with a device in it, and comes home again.
func newHost(name string, number int) (*Host, error) {
	h := &Host{Name: name, Addr: fmt.Sprintf("%d.%d.%d.%d", network[0], network[1], network[2], number+1)}
	var made error
	unshare := func() error { return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET)) }
	err := errors.Join(abroad(unshare, func() { made = h.make() }), made)
	if err != nil {
		return nil, errors.Join(err, h.discard())
	}
	return h, nil
}

// discard closes what a host that could not be made has.
func (h *Host) discard() error {
	var errs []error
	for _, file := range []*os.File{h.tun, h.ns} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}

// make furnishes the namespace in which the thread is.
func (h *Host) make() error {
	var err error
	h.ns, err = os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	h.tun, err = newTUN()
	if err != nil {
		return err
	}

	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // to talk about interfaces through
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(socket)
	var address [4]byte
	if _, err := fmt.Sscanf(h.Addr, "%d.%d.%d.%d", &address[0], &address[1], &address[2], &address[3]); err != nil {
		return err
	}
	mask := []byte{255, 255, 255, 0}

	for _, setting := range []struct {
		name, device string
		request      uint
		set          func(*unix.Ifreq) error
	}{
		{"address", tunName, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(address[:]) }},
		{"netmask", tunName, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(mask) }},
		{"MTU", tunName, unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(MTU); return nil }},
		{"state", tunName, unix.SIOCSIFFLAGS, up},
		{"state", "lo", unix.SIOCSIFFLAGS, up},
	} {
		r, err := unix.NewIfreq(setting.device)
		if err == nil {
			err = setting.set(r)
		}
		if err == nil {
			err = unix.IoctlIfreq(socket, setting.request, r)
		}
		if err != nil {
			return fmt.Errorf("set the %s of %s: %w", setting.name, setting.device, err)
		}
	}
	return nil
}

const tunName = "eth0" // what programs expect to see

func up(r *unix.Ifreq) error {
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return nil
}

// newTUN makes a device in the thread's namespace, whose packets can be read
// from the file and written to it.
func newTUN() (*os.File, error) {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: tunDevice, Err: err}
	}

	r, err := unix.NewIfreq(tunName)
	if err == nil {
		r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI) // packets, and nothing before them
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, r)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make a TUN device: %w", err)
	}

	return os.NewFile(uintptr(fd), tunDevice), nil // only now: before, it can't be waited for
}
