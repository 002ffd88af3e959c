// Tests of install.sh, on a pretended machine: its PATH leads to stand-ins for
// go, apt-get, sudo, brew and the like, which write down how they were called.
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

// The stand-in for go builds a lookup that finds ZooKeeper as soon as the file
// "installed" is there.
const fakeGo = `[ "$1" = build ] || exit 99
printf '#!/bin/sh\n[ -e "$STATE/installed" ] || { echo "type this" >&2; exit 1; }\n' >"$4"
chmod +x "$4"`

const fakeApt = `echo "apt-get $*" >>"$STATE/calls"
for i in 1 2 3 4 5 6 7 8 9 10; do echo "apt-get speaks"; done
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
	const update = "apt-get" + options + "update\n"
	const install = "apt-get" + options +
		"install --no-install-recommends libzookeeper-java default-jre-headless procps\n"

	for _, c := range []struct {
		name     string
		programs map[string]string // "" removes one
		state    []string          // files that are there
		env      string

		// What comes of it.
		calls string
		fails bool
		says  string
	}{
		{name: "it is there", programs: debian, state: []string{"installed"}},
		{name: "as root", programs: debian, calls: update + install, says: "installing"},
		{name: "it shows that it works", programs: debian, calls: update + install, says: "two.\n.\n"},
		{name: "with sudo", says: "installing",
			programs: with(map[string]string{"id": "echo 1000", "sudo": `[ "$1" = -n ] && shift && exec "$@"`}),
			calls:    update + install},
		{name: "one of the lists can't be had",
			programs: with(map[string]string{"apt-get": fakeApt + "\ncase $* in *update*) exit 100;; esac"}),
			calls:    update + install, says: "installing"},
		{name: "sudo wants a password", fails: true, says: "type this",
			programs: with(map[string]string{"id": "echo 1000", "sudo": "exit 1"})},
		{name: "no sudo", programs: with(map[string]string{"id": "echo 1000"}), fails: true, says: "type this"},
		{name: "what works without it", programs: with(map[string]string{"id": "echo 1000"}), fails: true,
			says: "make begin STEP=1\n" +
				"The demo with etcd needs neither root nor Java: make demo-etcd\n"},
		{name: "no apt-get", programs: with(map[string]string{"apt-get": ""}), fails: true, says: "type this"},
		{name: "apt-get fails", fails: true, says: "no network\nno network\ntype this",
			programs: with(map[string]string{"apt-get": "echo no network; exit 1"})},
		{name: "macOS", says: "Homebrew", calls: "brew install zookeeper\n", programs: with(map[string]string{
			"uname": "echo Darwin", "brew": `echo "brew $*" >>"$STATE/calls"; touch "$STATE/installed"`})},
		{name: "macOS without Homebrew",
			programs: with(map[string]string{"uname": "echo Darwin"}), fails: true, says: "type this"},
		{name: "a wrong ZOOKEEPER_HOME",
			programs: debian, env: "ZOOKEEPER_HOME=/nowhere", fails: true, says: "type this"},
		{name: "the lookup does not compile", programs: with(map[string]string{"go": "echo syntax error; exit 1"}),
			fails: true, says: "syntax error"},
		{name: "the lookup can't be run", programs: with(map[string]string{"go": fakeGo + "; chmod -x \"$4\""}),
			fails: true, says: "denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin, state, root := t.TempDir(), t.TempDir(), t.TempDir()
			for _, name := range []string{"sh", "dirname", "mkdir", "tail", "touch", "chmod", "env", "true"} {
				path, err := exec.LookPath(name)
				require.NoError(t, err)
				require.NoError(t, os.Symlink(path, filepath.Join(bin, name)))
			}

			// A workbook of its own, whose bin it is to use.
			text, err := os.ReadFile("install.sh")
			require.NoError(t, err)
			require.NoError(t, os.MkdirAll(filepath.Join(root, "internal/zkdev"), 0o755))
			require.NoError(t, os.Mkdir(filepath.Join(root, "exercise-etcd"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(root, "internal/zkdev/install.sh"), text, 0o644))

			for name, script := range c.programs {
				if script != "" {
					require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
				}
			}
			for _, name := range c.state {
				require.NoError(t, os.WriteFile(filepath.Join(state, name), nil, 0o600))
			}

			script := exec.Command("/bin/sh", filepath.Join(root, "internal/zkdev/install.sh"))
			script.Env = []string{"PATH=" + bin, "STATE=" + state, "TMPDIR=/nowhere", c.env}
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
		})
	}
}

// The commands that people are told and that the script runs must not drift
// apart.
func TestInstallScriptAndAdviceAgree(t *testing.T) {
	script, err := os.ReadFile("install.sh")
	require.NoError(t, err)
	for _, advice := range []string{aptInstall, brewInstall} {
		_, arguments, _ := strings.Cut(advice, "install ")
		arguments = strings.TrimPrefix(arguments, "-y ")
		assert.Contains(t, string(script), "install "+arguments)
	}
}

// Who can't install ZooKeeper learns how chapters 1 to 4 fare, and the
// exercise, and that this was not all.
func TestMakeTestWithoutZooKeeper(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	for _, c := range []struct {
		name, install string
		zookeeper     bool
	}{
		{"it is there", "exit 0", true},
		{"it can't be", "echo type this >&2; exit 1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, bin := t.TempDir(), t.TempDir()
			for name, text := range map[string]string{
				filepath.Join(root, "Makefile"):                  string(makefile),
				filepath.Join(root, "internal/zkdev/install.sh"): c.install + "\n",
				filepath.Join(root, "exercise-etcd/go.mod"):      "",
				filepath.Join(bin, "go"): "#!/bin/sh\ncase $1 in\n" +
					"list) printf 'm/%s\\n' step4-signals step5-discovery ;;\n" +
					"test) { echo \"$*\"; pwd; } >>\"$TESTED\" ;;\nesac\n",
			} {
				require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
				require.NoError(t, os.WriteFile(name, []byte(text), 0o755))
			}

			command := exec.Command("make", "test")
			command.Dir = root
			command.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "TESTED=" + filepath.Join(root, "tested")}
			output, err := command.CombinedOutput()

			assert.Equal(t, c.zookeeper, err == nil, "%s", output)
			untested := strings.Contains(string(output), "not tested, for want of ZooKeeper")
			assert.Equal(t, !c.zookeeper, untested, "%s", output)

			tested, err := os.ReadFile(filepath.Join(root, "tested"))
			require.NoError(t, err, "%s", output)
			assert.Contains(t, string(tested), "step4-signals")
			assert.Equal(t, c.zookeeper, strings.Contains(string(tested), "step5-discovery"))
			assert.Contains(t, string(tested), "/exercise-etcd\n")

			for line := range strings.Lines(string(tested)) {
				wants := strings.HasPrefix(line, "test ") && !strings.Contains(line, "internal/carry")
				assert.True(t, !wants || strings.Contains(line, "^TestNet"),
					"it needs neither root nor Linux: %s", line)
			}
		})
	}
}
