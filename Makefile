# What the README's commands run. Needs Go and make, nothing else; works with
# the make 3.81 that macOS has.

# Quick to build and never in trouble with a clone that belongs to another
# user: the programs don't show a version.
export GOFLAGS := $(shell go env GOFLAGS) -buildvcs=false

# The race detector needs cgo and a C compiler that works: ask by using them.
RACE = $(shell go build -race runtime/cgo >/dev/null 2>&1 && echo -race)

# A program built with the race detector stays for a second after its end, in
# case of late reports. With hundreds of programs to start that is minutes.
export GORACE := atexit_sleep_ms=0

# Never a cached result: the tests speak to processes and clocks. No package
# takes as long as the timeout unless it hangs.
GOTEST = go test -count=1 -timeout=15m

# The packages whose tests start ZooKeeper, a JVM each time, run three at a
# time: they mostly wait.
JVM = /(step5-|step6-|final|internal/zk(dev|test)|tools/(bench|book|discovery))

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Without a target make shows this, too. A line that begins with ##@ is the
# heading of those below it.
.PHONY: help
help: ## list these targets
	@awk -F ' *## ' -v handout="$$(test -d final || echo yes)" ' \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.* ## / && !(handout && /: whole/) { sub(/:.*/, "", $$1); printf "  make %-16s%s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

##@ For readers

.PHONY: begin
begin: chapter ## copy into _mine what chapter STEP starts from, as in make begin STEP=3
	@bin/chapter begin "$$STEP"

# Chapters 5 and 6 are tried with a real ZooKeeper.
.PHONY: try
try: chapter $(if $(filter 5 6,$(STEP)),install) ## test it, up to the first red milestone; ONLY=3.2 tests one, V=1 shows a trace, PICTURE=1 draws all, WATCH=1 repeats it
	@bin/chapter try $(RACE) $(if $(V),-v) $(if $(PICTURE),-draw) $(if $(filter 0,$(EARLIER)),-alone) $(if $(WATCH),-watch) -only "$$ONLY" "$$STEP"

.PHONY: compare
compare: chapter ## show what would turn it into ours
	@bin/chapter compare "$$STEP"

.PHONY: progress
progress: chapter ## show all chapters' milestones, as last tried
	@bin/chapter progress

# With a chapter it shows the reader's program, and otherwise all of the
# workbook's. Chapters 3 and 4 have no ZooKeeper.
.PHONY: play
play: $(if $(STEP)$(PROGRAM),,whole) $(if $(filter 3 4,$(STEP)),,install) ## see servers and a client at work in the browser, and break them: STEP=3 for your own; OPEN=1 opens it
	@mkdir -p bin
	@go build -o bin/ ./internal/play/cmd/play $(if $(STEP)$(PROGRAM),,./internal/play/cmd/caller ./final/cmd/server)
	@bin/play $(if $(OPEN),-open) -step "$$STEP" -program "$$PROGRAM"

.PHONY: zookeeper
zookeeper: install ## run a ZooKeeper on 127.0.0.1:2181 until Ctrl-C
	@mkdir -p bin
	@go build -o bin/zookeeper ./internal/zkdev/cmd/zookeeper
	@bin/zookeeper

.PHONY: demo
demo: whole install ## watch the whole system at work, about 20 seconds
	@go build -o bin/ ./final/cmd/server ./internal/demo/cmd/demo
	@bin/demo

.PHONY: demo-etcd
demo-etcd: whole ## the same with etcd instead of ZooKeeper, which the exercise brings along
	@mkdir -p bin
	@cd exercise-etcd && go build -o ../bin/demo-etcd/ ./cmd/server ./cmd/demo
	@bin/demo-etcd/demo

# Whatever is in _etcd stays there.
.PHONY: begin-etcd
begin-etcd: whole ## copy into _etcd what the exercise with etcd starts from
	@test ! -e _etcd || { echo '_etcd is there already, and stays as it is' >&2; exit 1; }
	@mkdir _etcd
	@cp -R exercise-etcd/. _etcd
	@mv _etcd/skeleton/registrar.go _etcd/skeleton/discovery.go _etcd
	@rm -r _etcd/skeleton _etcd/inside_test.go _etcd/README.md
	@echo 'You write registrar.go and discovery.go in _etcd; then: make try-etcd'

.PHONY: try-etcd
try-etcd: whole ## test it, up to the first red test; TEST=leader tests those with that in the name, V=1 shows a trace
	@test -d _etcd || { echo 'there is no _etcd yet: begin with make begin-etcd' >&2; exit 1; }
	@cd _etcd; $(GOTEST) $(RACE) $(if $(V),-v) -failfast -run '^TestDiscovery$$/$(TEST)' .
	@test -n '$(TEST)' || { cd _etcd; $(GOTEST) $(RACE) $(if $(V),-v) -failfast -p 1 -skip '^TestNet' ./...; }

.PHONY: etcd
etcd: whole ## run an etcd on 127.0.0.1:2379 until Ctrl-C
	@mkdir -p bin
	@cd exercise-etcd && go build -o ../bin/etcd ./cmd/etcd
	@bin/etcd

##@ For everyone

# What the targets below run. A network needs root and Linux.
OTHERS = -skip '^TestFault|^TestSoak|^TestNet'

# Each step carries the specifications of the steps before it.
.PHONY: test
test: ## run the tests: of each step its own, and one milestone of each chapter before (installs ZooKeeper when it is missing)
	@EARLIER_MILESTONES=first $(MAKE) --no-print-directory test-all

# Where ZooKeeper can't be installed, what needs none is tested all the same.
.PHONY: test-all
test-all: ## the same, and ask each step all milestones of the chapters before
	@race='$(RACE)'; test -n "$$race" || echo 'no working cgo and C compiler here: testing without the race detector'; \
	zookeeper=there; sh internal/zkdev/install.sh || zookeeper=; \
	set -e; \
	$(GOTEST) ./internal/carry; \
	$(GOTEST) $$race $(OTHERS) $$(go list ./... | grep -Ev '$(JVM)|internal/carry$$'); \
	test -z "$$zookeeper" || $(GOTEST) $$race -p 3 $(OTHERS) $$(go list ./... | grep -E '$(JVM)'); \
	if test -d tools; then (cd tools; \
		$(GOTEST) $$race $$(go list ./... | grep -Ev '$(JVM)|/(broken|right|browser)$$'); \
		test -z "$$zookeeper" || $(GOTEST) $$race -p 3 $$(go list ./... | grep -E '$(JVM)')); fi; \
	if test -d exercise-etcd; then (cd exercise-etcd; $(GOTEST) $$race -p 1 $(OTHERS) ./...); fi; \
	test -n "$$zookeeper" || { echo 'not tested, for want of ZooKeeper (see above): chapters 5 and 6, final, and what stands on them' >&2; exit 1; }

# The rows mostly wait: more of them at once than there are processors.
.PHONY: faults
faults: whole install ## inject every fault of the matrix into final's programs
	@$(GOTEST) $(RACE) -parallel 4 -run '^TestFault' ./final/system

# How long, and the seed of a run to repeat. The test has five minutes more to
# begin and to end: Go adds up a duration such as 30s5m.
LENGTH = 10m
SEED = 0

.PHONY: soak
soak: whole install ## random faults for 10 minutes, to watch; LENGTH=1h, SEED=4711 repeats a run
	@go test -count=1 -timeout=$(LENGTH)5m $(RACE) -v -run '^TestSoak$$' ./final/system -length $(LENGTH) -seed $(SEED)

# Elsewhere than on Linux, and without root, its tests say what they need, and fail.
.PHONY: net
net: whole install ## the same on a network that breaks, of hosts in namespaces (Linux, root); LENGTH=1h, SEED=4711
	@$(GOTEST) $(RACE) -failfast -run '^TestNet' ./internal/netlab
	@go test -count=1 -timeout=$(LENGTH)5m $(RACE) -v -run '^TestNet' ./final/network -length $(LENGTH) -seed $(SEED)

.PHONY: net-etcd
net-etcd: whole ## the same with an etcd of three members
	@cd exercise-etcd; go test -count=1 -timeout=$(LENGTH)5m $(RACE) -v -run '^TestNet' ./network -length $(LENGTH) -seed $(SEED)

# Go fuzzes one target of one package at a time. It would try for up to a
# minute to shorten each input that it finds interesting, and fuzz nothing then.
TIME = 20s

.PHONY: fuzz
fuzz: ## fuzz every parser of bytes from strangers, each for TIME=20s
	@grep -os '^func Fuzz[A-Za-z]*' step*/*_test.go final/*_test.go | sed 's|^\(.*\)/[^/]*:func \(.*\)|\1 \2|' | while read -r dir name; do \
		echo "$$dir $$name"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(TIME) -fuzzminimizetime 1s "./$$dir" || exit 1; done

# The comparison is of programs as they are used: without the race detector.
.PHONY: bench
bench: whole ## measure it beside what people would use instead, about 8 minutes; plots go to final/bench
	@mkdir -p bin
	@go build -o bin/ ./final/cmd/server
	@cd tools; go build -o ../bin/ ./bench/cmd/bench
	@bin/bench -svg final/bench -rivals "$$RIVALS"

ROUNDS = 10

.PHONY: bench-discovery
bench-discovery: whole install ## measure how fast clients learn of servers, half a minute; ROUNDS=10, a plot goes to final/bench
	@mkdir -p bin
	@go build -o bin/ ./final/cmd/server
	@cd tools; go build -o ../bin/ ./discovery/cmd/discovery
	@bin/discovery -rounds $(ROUNDS) -svg final/bench

##@ For teachers and authors

.PHONY: handout
handout: whole chapter ## for teachers: write the repository of a class for chapter STEP to OUT
	@bin/chapter handout "$$STEP" "$$OUT"

# Chapters 5 and 6 are tested with a real ZooKeeper.
.PHONY: grade
grade: whole $(if $(filter 5 6,$(STEP)),install) ## grade the class in FROM into OUT; EARLIER=1 tests all chapters, JOBS=2 at a time, LIMIT=5m each
	@mkdir -p bin
	@cd tools; go build -o ../bin/ ./grade/cmd/grade
	@bin/grade -from "$$FROM" -out "$$OUT" $(if $(filter-out 0,$(EARLIER)),-earlier) $(if $(JOBS),-jobs $(JOBS)) $(if $(LIMIT),-limit $(LIMIT)) "$$STEP"

.PHONY: prove
prove: whole install ## ask the specifications of programs that are wrong in one way each
	@cd tools; $(GOTEST) ./broken

.PHONY: right
right: whole install ## ask them of programs that are right, and written in other ways than ours
	@command -v python3 >/dev/null || echo 'not asked, for want of python3: the server in Python'
	@cd tools; $(GOTEST) ./right

# It is a matter of hours for chapter 6. Interrupted, it goes on where it was.
.PHONY: mutate
mutate: whole $(if $(filter 5 6,$(STEP)),install) ## break each statement of chapter STEP, list what its tests don't notice; FILES=register.go, SAMPLE=100, JOBS=2
	@mkdir -p bin
	@cd tools; go build -o ../bin/ ./mutate/cmd/mutate
	@bin/mutate -files "$$FILES" $(if $(JOBS),-jobs $(JOBS)) $(if $(SAMPLE),-sample $(SAMPLE)) "$$STEP"

# The page of make play in a real browser, of the system's packages.
.PHONY: play-test
play-test: whole install ## test the page of make play in Chromium, which is installed when it is missing
	@sh tools/browser/install.sh
	@cd tools; $(GOTEST) ./browser

.PHONY: check
check: whole ## formatting, vet, staticcheck, how the code looks, and builds for the other systems
	@unformatted=$$(find . -name '*.go' ! -path './_*' ! -path './.*/*' -exec gofmt -l {} +); \
	test -z "$$unformatted" || { echo "gofmt -w would change:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	GOOS=darwin CGO_ENABLED=0 go vet ./...
	GOOS=darwin CGO_ENABLED=0 go build ./...
	GOOS=windows CGO_ENABLED=0 go build $$(GOOS=windows go list -e ./... | grep -v /internal/)
	go run $(STATICCHECK) ./...
	go mod tidy -diff
	cd tools && go vet ./...
	cd tools && GOOS=darwin CGO_ENABLED=0 go vet ./...
	cd tools && GOOS=darwin CGO_ENABLED=0 go build ./...
	cd tools && go run $(STATICCHECK) ./...
	cd tools && go mod tidy -diff
	cd tools && go run ./look/cmd/look
	cd exercise-etcd && go vet ./...
	cd exercise-etcd && GOOS=darwin CGO_ENABLED=0 go vet ./...
	cd exercise-etcd && GOOS=windows CGO_ENABLED=0 go build $$(GOOS=windows go list ./... | grep -v /internal/)
	cd exercise-etcd && go run $(STATICCHECK) ./...
	cd exercise-etcd && go mod tidy -diff

.PHONY: budget
budget: ## show how much code each chapter has, and may have
	@go run ./internal/carry/cmd/carry -budget

.PHONY: carry
carry: ## copy each file from the step that introduces it into the later ones
	@go run ./internal/carry/cmd/carry

.PHONY: readme
readme: whole ## write what the texts quote into them, from the files that they quote
	@cd tools; go run ./book/cmd/book

# The demo shows how long things took: each run draws another picture.
.PHONY: pictures
pictures: whole install ## draw the README's pictures again, from a new run of the demo, and the dark versions of all
	@go build -o bin/ ./final/cmd/server ./internal/demo/cmd/demo
	@cd tools; go build -o ../bin/ ./picture/cmd/picture
	@bin/demo >bin/demo.txt || { cat bin/demo.txt; exit 1; }
	@cp bin/demo.txt pictures/
	@bin/picture pictures

# What broken programs do is measured anew each time, too.
.PHONY: run-pictures
run-pictures: whole install ## draw the chapters' pictures of broken programs again, a minute
	@mkdir -p bin
	@cd tools; go build -o ../bin/ ./picture/cmd/picture
	@bin/picture runs

# The release of Debian that is bare.
RELEASE = bookworm

.PHONY: bare
bare: whole ## try all this on a minimal Debian, half an hour (Linux, root, debootstrap); RELEASE=trixie
	@sh tools/bare/bare.sh $(RELEASE)

# What the targets above need.

.PHONY: chapter
chapter:
	@mkdir -p bin
	@go build -o bin/ ./internal/chapter/cmd/chapter

# What needs more than the chapters that a class has been given.
.PHONY: whole
whole:
	@test -d final || { echo 'this is a handout: that target needs the whole workbook' >&2; exit 1; }

.PHONY: install
install:
	@sh internal/zkdev/install.sh
