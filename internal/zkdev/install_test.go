// Tests of install.sh, on a pretended machine: its PATH leads to stand-ins for go, apt-get, sudo, brew and the like,
// which write down how they were called.
package zkdev

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The stand-in for go builds a lookup that finds ZooKeeper as soon as the file "installed" is there.
const fakeGo = `[ "$1" = build ] || exit 99
printf '#!/bin/sh\n[ -e "$STATE/installed" ] || { echo "type this" >&2; exit 1; }\n' >"$4"
chmod +x "$4"`

const fakeApt = `echo "apt-get $*" >>"$STATE/calls"
[ "$DEBIAN_FRONTEND" = noninteractive ] || exit 98
case "$*" in
*update*) touch "$STATE/updated" ;;
*install*) [ -e "$STATE/updated" ] || { echo "E: no such package"; exit 100; }; touch "$STATE/installed" ;;
esac`

func TestInstall(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Fatal(err)
	}
	debian := map[string]string{"go": fakeGo, "uname": "echo Linux", "id": "echo 0", "apt-get": fakeApt}
	with := func(changes map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range []map[string]string{debian, changes} {
			for name, script := range m {
				all[name] = script
			}
		}
		return all
	}
	const options = " -q -y -o DPkg::Lock::Timeout=120 "
	const aptInstall = "apt-get" + options + "install --no-install-recommends libzookeeper-java default-jre-headless\n"
	const aptUpdate = "apt-get" + options + "update\n"

	for _, c := range []struct {
		name     string
		programs map[string]string // "" removes one
		state    []string          // files that are there
		env      string
		calls    string
		fails    bool
		says     string
	}{
		{name: "it is there", programs: debian, state: []string{"installed"}},
		{name: "as root", programs: debian, state: []string{"updated"}, calls: aptInstall, says: "installing"},
		{name: "without package lists", programs: debian, calls: aptInstall + aptUpdate + aptInstall, says: "installing"},
		{name: "with sudo", state: []string{"updated"}, says: "installing",
			programs: with(map[string]string{"id": "echo 1000", "sudo": `[ "$1" = -n ] && shift && exec "$@"`}), calls: aptInstall},
		{name: "sudo wants a password", fails: true, says: "type this",
			programs: with(map[string]string{"id": "echo 1000", "sudo": "exit 1"})},
		{name: "no sudo", programs: with(map[string]string{"id": "echo 1000"}), fails: true, says: "type this"},
		{name: "no apt-get", programs: with(map[string]string{"apt-get": ""}), fails: true, says: "type this"},
		{name: "apt-get fails", fails: true, says: "no network\ntype this",
			programs: with(map[string]string{"apt-get": "echo no network; exit 1"})},
		{name: "macOS", says: "Homebrew", calls: "brew install zookeeper\n", programs: with(map[string]string{
			"uname": "echo Darwin", "brew": `echo "brew $*" >>"$STATE/calls"; touch "$STATE/installed"`})},
		{name: "macOS without Homebrew", programs: with(map[string]string{"uname": "echo Darwin"}), fails: true, says: "type this"},
		{name: "a wrong ZOOKEEPER_HOME", programs: debian, env: "ZOOKEEPER_HOME=/nowhere", fails: true, says: "type this"},
		{name: "the lookup does not compile", programs: with(map[string]string{"go": "echo syntax error; exit 1"}), fails: true, says: "syntax error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin, state, tmp := t.TempDir(), t.TempDir(), t.TempDir()
			for _, name := range []string{"sh", "dirname", "mktemp", "rm", "tail", "touch", "chmod", "env", "true"} {
				path, err := exec.LookPath(name)
				require.NoError(t, err)
				require.NoError(t, os.Symlink(path, filepath.Join(bin, name)))
			}
			for name, script := range c.programs {
				if script != "" {
					require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
				}
			}
			for _, name := range c.state {
				require.NoError(t, os.WriteFile(filepath.Join(state, name), nil, 0o600))
			}
			script := exec.Command("/bin/sh", "./install.sh")
			script.Env = []string{"PATH=" + bin, "STATE=" + state, "TMPDIR=" + tmp, c.env}
			output, err := script.CombinedOutput()
			if c.fails {
				assert.Error(t, err)
			} else {
				assert.NoError(t, err, "%s", output)
			}
			if c.says == "" {
				assert.Empty(t, string(output))
			}
			assert.Contains(t, string(output), c.says)
			calls, _ := os.ReadFile(filepath.Join(state, "calls"))
			assert.Equal(t, c.calls, string(calls))
			left, err := filepath.Glob(filepath.Join(tmp, "*"))
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

// The commands that people are told and that the script runs must not drift apart.
func TestInstallScriptAndAdviceAgree(t *testing.T) {
	script, err := os.ReadFile("install.sh")
	require.NoError(t, err)
	for _, advice := range []string{aptCommand, brewCommand} {
		_, arguments, _ := strings.Cut(advice, "install ")
		arguments = strings.TrimPrefix(arguments, "-y ")
		assert.Contains(t, string(script), "install "+arguments)
	}
}
