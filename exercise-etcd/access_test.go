// Credentials and TLS: what is let in, and what isn't.

package etcd

import (
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"example.com/rpcworkbook/exercise-etcd/internal/etcddev"
	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/discoverytest"
	"example.com/rpcworkbook/internal/harness"
)

// guarded starts an etcd that asks for passwords: root may do everything, alice
// register under /demo, and bob read there.
func guarded(t *testing.T) (s *store, as func(user, password string) clientv3.Config) {
	s = &store{startEtcd(t, nil)}
	as = func(user, password string) clientv3.Config {
		config := at(s.Addr())
		config.Username, config.Password = user, password
		return config
	}

	ctx, c := t.Context(), s.Client()
	must := func(_ any, err error) {
		t.Helper()
		require.NoError(t, err)
	}

	end := clientv3.GetPrefixRangeEnd(root + "/")
	for _, user := range []struct {
		name string
		may  clientv3.PermissionType
	}{
		{"alice", clientv3.PermissionType(clientv3.PermReadWrite)},
		{"bob", clientv3.PermissionType(clientv3.PermRead)},
	} {
		must(c.RoleAdd(ctx, user.name))
		must(c.RoleGrantPermission(ctx, user.name, root+"/", end, user.may))
		must(c.UserAdd(ctx, user.name, user.name+"'s secret"))
		must(c.UserGrantRole(ctx, user.name, user.name))
	}

	must(c.UserAdd(ctx, "root", "secret"))
	must(c.UserGrantRole(ctx, "root", "root"))
	must(c.AuthEnable(ctx))
	return s, as
}

func TestPasswords(t *testing.T) {
	s, as := guarded(t)
	end := rpc.Endpoint{Host: "127.0.0.1", Port: 1}
	client := watch(t, NewDiscovery(as("bob", "bob's secret"), root, discoverytest.Session))
	client.wait(t)

	for _, stranger := range []clientv3.Config{at(s.Addr()), as("bob", "bob's secret"), as("alice", "guessed")} {
		r := NewRegistrar(stranger, root, discoverytest.Session, rpc.Endpoint{Host: "127.0.0.1", Port: 666})
		r.SetServing(true)
		defer r.Close(t.Context())
	}

	r := NewRegistrar(as("alice", "alice's secret"), root, discoverytest.Session, end)
	r.SetServing(true)
	client.wait(t, "127.0.0.1:1")

	require.NoError(t, s.Restart()) // it knows no token any more
	client.waitFresh(t, s, as("root", "secret"))
	assert.True(t, r.Close(t.Context()))
	client.wait(t)
}

// waitFresh waits until something is found that is put now.
func (b *board) waitFresh(t *testing.T, s *store, admin clientv3.Config) {
	t.Helper()
	c, err := clientv3.New(admin)
	require.NoError(t, err)
	defer c.Close()
	key := root + "/rpc/sign"
	_, err = c.Put(t.Context(), key, endpoint("9"))
	require.NoError(t, err)
	b.wait(t, "127.0.0.1:1", "127.0.0.1:9")
	_, err = c.Delete(t.Context(), key)
	require.NoError(t, err)
	b.wait(t, "127.0.0.1:1")
}

func TestWhoIsNotAllowedSaysSo(t *testing.T) {
	_, as := guarded(t)
	d := NewDiscovery(as("alice", "guessed"), root, discoverytest.Session)
	watch(t, d)
	harness.Eventually(t, patience, "an error about the password", func() (bool, string) {
		err := d.Err()
		const want = "connect to etcd: etcdserver: authentication failed, invalid user ID or password"
		return err != nil && err.Error() == want, fmt.Sprint(err)
	})
}

func TestTLS(t *testing.T) {
	files, err := etcddev.NewTLS(t.TempDir())
	require.NoError(t, err)
	s := startEtcd(t, files)
	with := func(c *tls.Config) clientv3.Config {
		config := at(s.URL())
		config.TLS = c
		return config
	}
	ours, err := files.Config()
	require.NoError(t, err)
	anonymous := ours.Clone()
	anonymous.Certificates, anonymous.GetClientCertificate = nil, nil

	r := NewRegistrar(with(ours), root, discoverytest.Session, rpc.Endpoint{Host: "127.0.0.1", Port: 1})
	r.SetServing(true)
	watch(t, NewDiscovery(with(ours), root, discoverytest.Session)).wait(t, "127.0.0.1:1")
	for name, config := range map[string]clientv3.Config{
		"no certificate": with(anonymous), "another authority": with(&tls.Config{}), "no TLS": at(s.Addr()),
	} {
		d := NewDiscovery(config, root, discoverytest.Session)
		b := watch(t, d)
		harness.Eventually(t, patience, name+": an error", func() (bool, string) { return d.Err() != nil, "none" })
		b.mu.Lock()
		assert.Zero(t, b.all, name)
		b.mu.Unlock()
	}
	assert.True(t, r.Close(t.Context()))
}
