// The flags of everything that talks to etcd. Their names are those of etcd's
// own command, etcdctl, where it has them.

package etcd

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"

	rpc "example.com/rpcworkbook/final"
)

// Flags are the flags -endpoints, -root, -session, -user, -cacert, -cert and
// -key.
type Flags struct {
	Endpoints *string        // "host:port,host:port"
	Root      *string        // what all keys begin with
	Session   *time.Duration // the time to live of a lease
	user      *secret
	tls       transport.TLSInfo
	flags     *flag.FlagSet
}

// A secret is "user:password" and where it was given. It is never shown. As the
// default of a flag it would be, by -h.
type secret struct{ text, where string }

// NewFlags adds the flags to a set. It takes $ETCD_USER out of this process's
// environment, so that programs started by it, workers for example, don't get
// to know it.
func NewFlags(flags *flag.FlagSet) *Flags {
	endpoints := os.Getenv("ETCD_ENDPOINTS")
	if endpoints == "" {
		endpoints = "127.0.0.1:2379"
	}
	user := &secret{text: os.Getenv("ETCD_USER")}
	if user.text != "" {
		user.where = "$ETCD_USER"
	}
	os.Unsetenv("ETCD_USER")

	f := &Flags{
		Endpoints: flags.String("endpoints", endpoints,
			"etcd's addresses, `host:port,host:port`; also $ETCD_ENDPOINTS"),
		Root: flags.String("root", "/demo", "what the `keys` of servers begin with"),
		Session: flags.Duration("session", 6*time.Second,
			"time to live of a lease, in whole seconds: how long a dead server stays registered"),
		user:  user,
		flags: flags,
	}
	flags.Func("user",
		"credentials for etcd, `user:password`; better in $ETCD_USER: others on this machine can see the command line",
		func(text string) error {
			*user = secret{text, "-user"}
			return nil
		})
	flags.StringVar(&f.tls.TrustedCAFile, "cacert", "",
		"PEM `file` of the authority that etcd's certificate must be of; has TLS used")
	flags.StringVar(&f.tls.CertFile, "cert", "", "PEM `file` of our own certificate, if etcd asks for one; needs -key")
	flags.StringVar(&f.tls.KeyFile, "key", "", "PEM `file` of the key to -cert")
	return f
}

// Config returns what clientv3.New takes. It ends the program with exit code 2
// and a message when a flag is wrong.
func (f *Flags) Config() clientv3.Config {
	endpoints, err := rpc.SplitAddrs(*f.Endpoints)
	if err != nil {
		rpc.UsageError(f.flags, "-endpoints: %v", err)
	}
	if err := rpc.CheckRoot(*f.Root); err != nil {
		rpc.UsageError(f.flags, "-root: %v", err)
	}
	if *f.Session < 2*time.Second || *f.Session%time.Second != 0 {
		rpc.UsageError(f.flags, "-session must be at least 2s and in whole seconds, not %v", *f.Session)
	}

	config := clientv3.Config{Endpoints: endpoints}
	if f.user.where != "" {
		if _, err := rpc.ParseCredentials(f.user.text); err != nil {
			rpc.UsageError(f.flags, "%s: %v", f.user.where, err)
		}
		config.Username, config.Password, _ = strings.Cut(f.user.text, ":")
	}
	config.TLS, err = f.tlsConfig()
	if err != nil {
		rpc.UsageError(f.flags, "%v", err)
	}
	return config
}

// tlsConfig returns what -cacert, -cert and -key say, nil for nothing.
func (f *Flags) tlsConfig() (*tls.Config, error) {
	if (f.tls.CertFile == "") != (f.tls.KeyFile == "") {
		return nil, errors.New("-cert and -key go together")
	}
	if f.tls.TrustedCAFile == "" && f.tls.CertFile == "" {
		return nil, nil
	}
	config, err := f.tls.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("-cacert, -cert or -key: %w", err)
	}
	return config, nil
}
