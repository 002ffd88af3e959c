// What runs in the process of a member: etcd itself, embedded. The program that
// starts members is the one that they run, too, so that nothing has to be
// installed; see Main.

package etcddev

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"example.com/rpcworkbook/internal/freeport"
	"example.com/rpcworkbook/internal/proc"
)

// memberEnv tells a process that it is to be a member, and which one.
const memberEnv = "ETCDDEV_MEMBER"

// A member is what one etcd server has to know of itself.
type member struct {
	Name    string // in its cluster
	Dir     string // for the data; made if missing
	Client  string // the address for clients, "host:port"
	Peer    string // the same for other members
	Cluster string // all members, as "name=http://address,name=http://address"
	TLS     *TLS   // how it shows clients who it is; nil: not at all
}

// Main does nothing, unless this process was started as a member: then it is
// one, until SIGTERM, and doesn't return. A program that starts members, and
// the TestMain of a test that does, must call it before anything else.
func Main() {
	text := os.Getenv(memberEnv)
	if text == "" {
		return
	}

	var m member
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP) // whoever started us decides when we end

	err := json.Unmarshal([]byte(text), &m)
	if err == nil {
		err = m.run(stop, func() {})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Foreground runs an etcd in this process, with empty data, until SIGINT,
// SIGTERM or SIGHUP. addr is "127.0.0.1:port"; ready is called when it serves
// there.
func Foreground(addr string, ready func()) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	dir, err := proc.TempDir()
	if err != nil {
		return err
	}
	defer proc.End()

	port, release, err := freeport.Reserve()
	if err != nil {
		return err
	}
	defer release()

	peer := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	m := member{Name: "m1", Dir: dir, Client: addr, Peer: peer, Cluster: "m1=http://" + peer}
	return m.run(stop, ready)
}

// run returns when etcd has ended: after a signal, or with an error. It calls
// ready when etcd serves.
func (m *member) run(stop <-chan os.Signal, ready func()) error {
	config := embed.NewConfig()
	config.Name, config.Dir = m.Name, filepath.Join(m.Dir, "data")
	config.LogLevel, config.LogOutputs = "fatal", []string{"stderr"} // its errors include every orderly end

	// Leases of a second, and elections that a test can wait for.
	config.TickMs, config.ElectionMs = 50, 500
	// What the kernel holds survives SIGKILL; fsync only adds the disk's
	// stalls.
	config.UnsafeNoFsync = true
	// Passwords as quick as can be: the race detector makes them slow.
	config.BcryptCost = 4
	config.InitialCluster = m.Cluster

	scheme := "http"
	if m.TLS != nil {
		scheme = "https"
		config.ClientTLSInfo = transport.TLSInfo{
			CertFile: m.TLS.Cert, KeyFile: m.TLS.Key, TrustedCAFile: m.TLS.CA, ClientCertAuth: true,
		}
	}

	client, peer := url.URL{Scheme: scheme, Host: m.Client}, url.URL{Scheme: "http", Host: m.Peer}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}

	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer etcd.Close()

	serves := etcd.Server.ReadyNotify()
	for {
		select {
		case <-serves:
			ready()
			serves = nil
		case <-stop:
			return nil
		case err := <-etcd.Err():
			return fmt.Errorf("serve: %w", err)
		}
	}
}
