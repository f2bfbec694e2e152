package main

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"strings"
)

// test is a test or a part of one, or a package when it has no name.
type test struct{ pkg, name string }

func (t test) String() string {
	if t.name == "" {
		return t.pkg
	}
	return t.name + " (" + t.pkg + ")"
}

// results counts how a test ended.
type results struct{ passed, failed int }

// record is what the events of `go test -json` say, of one run or of several.
type record struct {
	results map[test]*results
	broken  []string        // packages that failed beyond their tests
	output  map[test]string // output of what failed
}

// event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
}

// maxOutput bounds what is kept of one test, and of one package.
const maxOutput = 64 << 10

// read reads events until their end.
func read(events io.Reader) (*record, error) {
	r := reader{
		record: &record{results: map[test]*results{}, output: map[test]string{}},
		output: map[test]*strings.Builder{}, running: map[string]map[string]bool{}, failed: map[string]int{},
	}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		var e event
		if json.Unmarshal(line, &e) == nil && e.Package != "" { // other lines come from the build
			r.take(e)
		}
		if err == io.EOF {
			return r.record, nil
		}
	}
}

// reader adds events to a record. Beside it, it holds the state of packages whose run has not ended.
type reader struct {
	*record
	output  map[test]*strings.Builder  // output of tests and packages so far
	running map[string]map[string]bool // tests that run, by package
	failed  map[string]int             // number of tests that failed, by package
}

func (r reader) take(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "output":
		if r.output[t] == nil {
			r.output[t] = &strings.Builder{}
		}
		if r.output[t].Len() < maxOutput {
			r.output[t].WriteString(e.Output)
		}
	case "run":
		if r.running[e.Package] == nil {
			r.running[e.Package] = map[string]bool{}
		}
		r.running[e.Package][e.Test] = true
	case "pass", "fail", "skip":
		if e.Action == "fail" && r.output[t] != nil {
			r.record.output[t] = r.output[t].String()
		}
		delete(r.output, t)
		if e.Test == "" {
			r.endPackage(e)
			return
		}
		r.ended(t, e.Action)
		delete(r.running[e.Package], e.Test)
		if e.Action == "fail" {
			r.failed[e.Package]++
		}
	}
}

// endPackage notes a package as broken when it failed although no test did, or while tests ran.
func (r reader) endPackage(e event) {
	explained := r.failed[e.Package] > 0 && len(r.running[e.Package]) == 0
	if e.Action == "fail" && !explained && !slices.Contains(r.broken, e.Package) {
		r.broken = append(r.broken, e.Package)
	}
	delete(r.running, e.Package)
	delete(r.failed, e.Package)
}

func (r *record) ended(t test, action string) {
	if r.results[t] == nil {
		r.results[t] = &results{}
	}
	switch action {
	case "pass":
		r.results[t].passed++
	case "fail":
		r.results[t].failed++
	}
}

// tests returns all tests that ended, by package and name.
func (r *record) tests() []test {
	var tests []test
	for t := range r.results {
		tests = append(tests, t)
	}
	slices.SortFunc(tests, func(a, b test) int { return strings.Compare(a.pkg+" "+a.name, b.pkg+" "+b.name) })
	return tests
}

// hasFailedPart reports whether a test failed because a part of it did.
func (r *record) hasFailedPart(t test) bool {
	for part, results := range r.results {
		if part.pkg == t.pkg && strings.HasPrefix(part.name, t.name+"/") && results.failed > 0 {
			return true
		}
	}
	return false
}
