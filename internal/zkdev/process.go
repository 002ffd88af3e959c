// One ZooKeeper process: the JVM and its output.

package zkdev

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"example.com/rpcworkbook/internal/proc"
)

var javaFlags = []string{
	"-Xms16m", "-Xmx64m", "-Xss256k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", // small, and up in half a second
	"-XX:-UsePerfData", // its file in the temporary directory would survive SIGKILL
	"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", // enough to say why it does not start
	// What the kernel holds survives SIGKILL; fsync only adds the disk's
	// stalls.
	"-Dzookeeper.forceSync=no",
}

// startJVM runs that class of ZooKeeper in dir with the configuration file,
// adding its output to the file output.
//
// The temporary directory may be called anything, and Java makes letters of a
// path by the locale, but of what a configuration says by Latin-1: so that
// names nothing outside dir.
func startJVM(found Installation, mainClass, dir, config string, output *os.File) (*proc.Group, error) {
	class := "org.apache.zookeeper.server." + mainClass
	cmd := exec.Command(found.Java, append(javaFlags, "-cp", found.ClassPath, class, config)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.Stdout, cmd.Stderr = output, output
	jvm, err := proc.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start ZooKeeper: %w", err)
	}
	return jvm, nil
}

// lastWords is what a JVM said, without the stack traces' long tails, and not
// more than about 2,000 bytes of it.
func lastWords(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}

	var kept []string
	size := 0
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	for i := len(lines) - 1; i >= 0 && size < 2000; i-- {
		if !strings.HasPrefix(lines[i], "\tat ") {
			kept = append([]string{lines[i]}, kept...)
			size += len(lines[i])
		}
	}
	return strings.Join(kept, "\n")
}
