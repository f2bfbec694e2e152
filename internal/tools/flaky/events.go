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

// results says how often a test ended how.
type results struct{ passed, failed int }

// record is what the events of `go test -json` say, of one run or of several.
type record struct {
	results map[test]*results
	broken  []string        // packages that failed beyond their tests
	output  map[test]string // of what failed
}

// event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
}

// maxOutput bounds what is kept of one test, and of one package.
const maxOutput = 64 << 10

// read reads events until their end.
func read(events io.Reader) (*record, error) {
	r := &record{results: map[test]*results{}, output: map[test]string{}}
	// Of the run of a package that has not ended: the tests that run, and how many failed.
	running, failed := map[string]map[string]bool{}, map[string]int{}
	output := map[test]*strings.Builder{}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		var e event
		if json.Unmarshal(line, &e) == nil && e.Package != "" { // what is no event is of the build
			t := test{e.Package, e.Test}
			switch {
			case e.Action == "output":
				if output[t] == nil {
					output[t] = &strings.Builder{}
				}
				if output[t].Len() < maxOutput {
					output[t].WriteString(e.Output)
				}
			case e.Action == "run":
				if running[e.Package] == nil {
					running[e.Package] = map[string]bool{}
				}
				running[e.Package][e.Test] = true
			case e.Action == "pass" || e.Action == "fail" || e.Action == "skip":
				if e.Action == "fail" && output[t] != nil {
					r.output[t] = output[t].String()
				}
				delete(output, t)
				if e.Test != "" {
					r.ended(t, e.Action)
					delete(running[e.Package], e.Test)
					if e.Action == "fail" {
						failed[e.Package]++
					}
					break
				}
				if e.Action == "fail" && (failed[e.Package] == 0 || len(running[e.Package]) > 0) && !slices.Contains(r.broken, e.Package) {
					r.broken = append(r.broken, e.Package)
				}
				delete(running, e.Package)
				delete(failed, e.Package)
			}
		}
		if err == io.EOF {
			return r, nil
		}
	}
}

func (r *record) ended(t test, how string) {
	if r.results[t] == nil {
		r.results[t] = &results{}
	}
	switch how {
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
