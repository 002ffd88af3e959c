// The commands that texts may use besides make, go and the workbook's own
// programs.

package book

import "strings"

// replayable are those that are on every machine: what bash has built in,
// coreutils, grep, sed, awk and ps.
var replayable = set(`
	: [ [[ alias bg break cd command continue declare disown echo eval exec exit export false fg hash help jobs
	kill let local printf pwd read return set shift shopt sleep source test times trap true type ulimit umask
	unset wait awk basename cat chmod comm cp cut date df dirname du env expr fold grep head id join ln ls mkdir
	mkfifo mktemp mv nice nl nohup nproc od paste ps readlink realpath rm rmdir sed seq sort split stat stdbuf
	sum tac tail tee timeout touch tr truncate tty uname uniq wc who whoami xargs yes bash sh
`)

// tools are others, which a reader may have to install.
var tools = set(`
	apt-get brew sudo git gofmt column curl diff file find free gdb hexdump java less lsof ltrace man nc netstat
	openssl perf pgrep pkill pstree pv python3 socat ss strace sysctl tar taskset tcpdump time top vmstat watch
	which xdg-open open xxd
`)

// looking are tools that look at a file, also at a program: what follows in
// their command is not the program's.
var looking = strings.Fields("ls file rm cp mv ln du stat chmod test [ cat mkdir which type git wc")

func set(names string) map[string]bool {
	all := map[string]bool{}
	for _, name := range strings.Fields(names) {
		all[name] = true
	}
	return all
}
