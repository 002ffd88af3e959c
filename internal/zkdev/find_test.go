// Tests of the lookup, in made-up directories.
package zkdev

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// machine makes an empty machine with a java in PATH and returns its root.
func machine(t *testing.T, files ...string) string {
	root := t.TempDir()
	for _, name := range append(files, "/bin/java") {
		name = root + name
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, nil, 0o755))
	}
	t.Setenv("PATH", root+"/bin")
	t.Setenv("JAVA_HOME", "")
	t.Setenv("ZOOKEEPER_HOME", "")
	t.Setenv("ZK_HOSTS", "127.0.0.1:1")
	return root
}

const brewLib = "/opt/homebrew/opt/zookeeper/libexec/lib"

func TestFindDebian(t *testing.T) {
	root := machine(t, "/usr/share/java/zookeeper.jar", brewLib+"/zookeeper-3.9.4.jar")
	found, err := find(root)
	require.NoError(t, err)
	assert.Equal(t, Installation{Java: root + "/bin/java", Dir: root + "/usr/share/java",
		ClassPath: root + "/usr/share/java/zookeeper.jar:" + root + "/usr/share/java/slf4j-simple.jar"}, found)
}

func TestFindHomebrew(t *testing.T) {
	const java = "/opt/homebrew/opt/openjdk/bin/java"
	root := machine(t, brewLib+"/zookeeper-3.9.4.jar", brewLib+"/zookeeper-jute-3.9.4.jar",
		brewLib+"/logback-core-1.jar", java)
	found, err := find(root)
	require.NoError(t, err)
	assert.Equal(t, Installation{Java: root + java, Dir: root + brewLib,
		ClassPath: root + brewLib + "/zookeeper-3.9.4.jar:" + root + brewLib + "/zookeeper-jute-3.9.4.jar"}, found)
}

func TestFindZooKeeperHomeAndJavaHomeFirst(t *testing.T) {
	root := machine(t, "/usr/share/java/zookeeper.jar", "/zk/lib/zookeeper-3.9.4.jar", "/jdk/bin/java")
	t.Setenv("ZOOKEEPER_HOME", root+"/zk")
	t.Setenv("JAVA_HOME", root+"/jdk")
	found, err := find(root)
	require.NoError(t, err)
	assert.Equal(t, Installation{Java: root + "/jdk/bin/java", Dir: root + "/zk/lib",
		ClassPath: root + "/zk/lib/zookeeper-3.9.4.jar"}, found)

	t.Setenv("ZOOKEEPER_HOME", root+"/elsewhere")
	_, err = find(root)
	require.ErrorContains(t, err, "ZOOKEEPER_HOME is "+root+"/elsewhere", "a wrong one is not passed over")
}

func TestFindSaysHowToInstall(t *testing.T) {
	root := machine(t)
	_, err := find(root)
	require.ErrorContains(t, err, "ZooKeeper is not installed. Install")

	root = machine(t, "/bin/apt-get")
	_, err = find(root)
	require.ErrorContains(t, err, aptInstall)

	root = machine(t, "/usr/share/java/zookeeper.jar")
	require.NoError(t, os.Remove(root+"/bin/java"))
	_, err = find(root)
	require.ErrorContains(t, err, "no Java to run it. Install")
}

// What is printed can be typed as it is: there may be no sudo, and no package
// lists yet.
func TestAdviceCanBeTyped(t *testing.T) {
	for _, c := range []struct {
		root, sudo bool
		says       string
	}{
		{root: true, says: "Install it with:\n\n    " + aptUpdate + " && " + aptInstall + "\n"},
		{root: true, sudo: true, says: "Install it with:\n\n    " + aptUpdate + " && " + aptInstall + "\n"},
		{sudo: true, says: "Install it with:\n\n    sudo " + aptUpdate + " && sudo " + aptInstall + "\n"},
		{says: "As root, type:\n\n    " + aptUpdate + " && " + aptInstall + "\n"},
	} {
		assert.Contains(t, advice(c.root, c.sudo), c.says)
		assert.Equal(t, c.sudo && !c.root, strings.Contains(advice(c.root, c.sudo), "    sudo "))
	}
}
