// Where a ZooKeeper and a Java to run it are looked for, and what to tell
// people who have none. The command behind make zookeeper and install.sh use
// the same lookup.

package zkdev

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Installation is a ZooKeeper on this machine together with a Java that can run
// it.
type Installation struct {
	Java      string // the java program
	ClassPath string // for its -cp
	Dir       string // where ZooKeeper's jars are, for people to read
}

// Find looks for ZooKeeper in ZOOKEEPER_HOME (an unpacked release), then where
// Debian's package libzookeeper-java and then where Homebrew's zookeeper put
// it, and for Java in JAVA_HOME, beside Homebrew's ZooKeeper, and in PATH. Its
// error is written for people and names the one command that installs what is
// missing.
func Find() (Installation, error) { return find("") }

// find takes the packages' directories below root, so that tests can furnish
// one.
func find(root string) (Installation, error) {
	if home := os.Getenv("ZOOKEEPER_HOME"); home != "" {
		home, err := filepath.Abs(home) // ZooKeeper runs in a directory of its own
		if err != nil {
			return Installation{}, fmt.Errorf("ZOOKEEPER_HOME: %w", err)
		}
		found, ok := release(filepath.Join(home, "lib"))
		if !ok {
			return Installation{}, fmt.Errorf("ZOOKEEPER_HOME is %s, but there is no lib/zookeeper-*.jar: "+
				"set it to the directory of an unpacked binary release of ZooKeeper, or unset it", home)
		}
		return withJava(found)
	}

	debian := root + "/usr/share/java"
	if exists(debian + "/zookeeper.jar") {
		// The jar's manifest names what else it needs. slf4j-simple is there to
		// print errors, see javaFlags.
		return withJava(Installation{Dir: debian, ClassPath: debian + "/zookeeper.jar:" + debian + "/slf4j-simple.jar"})
	}

	for _, prefix := range []string{"/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew"} {
		prefix = root + prefix
		if found, ok := release(prefix + "/opt/zookeeper/libexec/lib"); ok {
			// Homebrew keeps this Java out of PATH, where macOS has one that
			// only says how to get a real one.
			return withJava(found, prefix+"/opt/openjdk/bin/java")
		}
	}

	return Installation{}, errors.New("ZooKeeper is not installed. " + howToInstall())
}

// release recognizes the lib directory of a binary release.
func release(lib string) (Installation, bool) {
	jars, _ := filepath.Glob(filepath.Join(lib, "*.jar"))
	var kept []string
	isZooKeeper := false
	for _, jar := range jars {
		name := filepath.Base(jar)
		isZooKeeper = isZooKeeper || strings.HasPrefix(name, "zookeeper-") && !strings.HasPrefix(name, "zookeeper-jute")

		// Without its logger's back end a release logs nothing. With it, and
		// without its conf directory, it logs everything.
		if !strings.HasPrefix(name, "logback-") && !strings.HasPrefix(name, "slf4j-log4j") &&
			!strings.HasPrefix(name, "slf4j-reload4j") {
			kept = append(kept, jar)
		}
	}
	return Installation{Dir: lib, ClassPath: strings.Join(kept, ":")}, isZooKeeper
}

func withJava(found Installation, candidates ...string) (Installation, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		candidates = append([]string{filepath.Join(home, "bin", "java")}, candidates...)
	}

	for _, java := range append(candidates, "java") {
		path, err := exec.LookPath(java)
		if err != nil {
			continue
		}
		found.Java, err = filepath.Abs(path)
		return found, err
	}

	return Installation{}, fmt.Errorf("ZooKeeper is installed in %s, but no Java to run it. %s",
		found.Dir, howToInstall())
}

// The tests of the texts need ps, which a small system hasn't.
const (
	aptUpdate   = "apt-get update"
	aptInstall  = "apt-get install -y --no-install-recommends libzookeeper-java default-jre-headless procps"
	brewInstall = "brew install zookeeper"
)

// howToInstall names one command, the one that fits this machine.
func howToInstall() string {
	if runtime.GOOS == "darwin" {
		return installWith(brewInstall)
	}
	if !inPath("apt-get") {
		return "Install Java, unpack a binary release of Apache ZooKeeper, and set ZOOKEEPER_HOME to its directory."
	}
	return advice(os.Geteuid() == 0, inPath("sudo"))
}

// advice is for machines with apt-get: to root, to a user with sudo, and to one
// who has to ask somebody.
func advice(root, sudo bool) string {
	switch {
	case root:
		return installWith(aptUpdate + " && " + aptInstall)
	case sudo:
		return installWith("sudo " + aptUpdate + " && sudo " + aptInstall)
	}
	return "There is no sudo here. As root, type:\n\n    " + aptUpdate + " && " + aptInstall + "\n"
}

func installWith(command string) string { return "Install it with:\n\n    " + command + "\n" }

func inPath(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
