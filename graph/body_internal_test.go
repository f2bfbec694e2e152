package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"layercake/internal/budget"
	"layercake/internal/caller"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"golang.org/x/sync/semaphore"
	"pgregory.net/rapid"
)

// allocated is what a function allocates, whether or not it holds it.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// What decoding allocates is what was taken for it before, whatever the body is made of. An ordinary body takes little more.
func TestCostOfBodies(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	const size = 256 << 10
	filled := func(prefix, part, suffix string) []byte {
		return []byte(prefix + strings.Repeat(part, (size-len(prefix)-len(suffix))/len(part)) + suffix)
	}
	variables := func(part string) []byte { return filled(`{"query":"{a}","variables":{"x":[`, part+",", `0]}}`) }
	many := func(member string) []byte { return []byte(`{"query":"{a}","` + member + `":{` + numbered(size) + "}}") }
	for name, body := range map[string][]byte{
		"objects":           variables(`{"":0}`),
		"objects of lists":  variables(`{"":[]}`),
		"objects in others": variables(`{"a":{"a":{"a":{"a":0}}}}`),
		"empty objects":     variables(`{}`),
		"wide objects":      variables(`{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0}`),
		"empty lists":       variables(`[]`),
		"lists":             variables(`[0]`),
		"numbers":           variables(`0`),
		"truths":            variables(`true`),
		"texts":             variables(`""`),
		"extensions":        filled(`{"query":"{a}","extensions":{"x":[`, `{"":0},`, `0]}}`),
		"many variables":    many("variables"),
		"many extensions":   many("extensions"),
		"many members":      []byte("{" + numbered(size) + `,"query":"{a}"}`),
		"a query":           filled(`{"query":"`, `a`, `"}`),
		"a query of commas": filled(`{"query":"`, `,`, `"}`),
		"one text":          filled(`{"query":"{a}","variables":{"x":"`, `a`, `"}}`),
		"escapes":           filled(`{"query":"{a}","variables":{"x":"`, `\"`, `"}}`),
		"unknown members":   filled(`{"query":"{a}","y":[`, `{"":0},`, `0]}`),
		"nodes": variables(`{"id":"node_17123","nodeType":"GraphNode","position":{"x":123.5,"y":-17.25},"metadata":{"label":"Something"},
			"config":"{\"a\":1,\"b\":[1,2,3]}"}`),
		"edges": variables(`{"id":"edge-1712312312","source":"node_1","target":"node_2","metadata":{"label":"a","dataType":"GraphData"}}`),
	} {
		if !json.Valid(body) {
			t.Errorf("%s: no JSON", name)
		}
		expected := cost(body)
		took := int64(len(body)) + allocated(func() {
			params, _ := paramsOf(body)
			operation := &ast.OperationDefinition{}
			if text, declared := params.Variables["x"].(json.RawMessage); declared {
				operation.VariableDefinitions = ast.VariableDefinitionList{{Variable: "x"}}
				expected += costOfVariable(text, countJSON(text))
			}
			_, _ = decodeVariables(t.Context(), operation, params.Variables)
		})
		each := float64(len(body))
		t.Logf("%s: %.1f bytes for each, %.1f taken", name, float64(took)/each, float64(expected)/each)
		if took > expected*11/10 { // the runtime allocates now and then, too
			t.Errorf("%s: decoding %d bytes took %d, expected at most %d", name, len(body), took, expected)
		}
		if ordinary := name == "nodes" || name == "edges"; ordinary && expected > 25*int64(len(body)) {
			t.Errorf("%s: an ordinary body takes %d times its size", name, expected/int64(len(body)))
		}
	}
}

// numbered are members of an object with short names, of so many bytes.
func numbered(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		_, _ = fmt.Fprintf(&b, `"%x":0,`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// The look for values is not misled by strings.
func TestValuesAreCountedOutsideOfStrings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]jsonCount{
		``: {0, 1, 0}, `{`: {1, 1, 1}, `"{,["`: {0, 1, 0}, `"\"{"`: {0, 1, 0}, `"\\"{`: {1, 1, 1}, `"\\\"{`: {0, 1, 0}, `"a":[1,2]`: {0, 3, 0}, `"`: {0, 1, 0}, `"\`: {0, 1, 0},
		`{"a":1,"b":{"c":[{"d":2},3],"e":{"f":1}},"g":[{},{}]}`: {6, 8, 5},
	} {
		if got := countJSON([]byte(text)); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.String()).Draw(t, "texts")
		b, err := json.Marshal(texts)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := countJSON(b), (jsonCount{0, 1 + max(1, len(texts)), 0}); got != want && texts != nil {
			t.Errorf("%s: %+v, want %+v", b, got, want)
		}
	})
}

// conn is the writer of a connection that notes its deadlines.
type conn struct {
	*httptest.ResponseRecorder
	began         time.Time
	reads, writes []time.Duration // deadlines since began; none is -1
	stuck         bool            // the client takes nothing more
}

func (c *conn) SetReadDeadline(at time.Time) error {
	c.reads = append(c.reads, c.since(at))
	return nil
}

func (c *conn) SetWriteDeadline(at time.Time) error {
	c.writes = append(c.writes, c.since(at))
	return nil
}

func (c *conn) since(at time.Time) time.Duration {
	if at.IsZero() {
		return -1
	}
	return at.Sub(c.began)
}

func (c *conn) Write(b []byte) (int, error) {
	if c.stuck {
		return 0, os.ErrDeadlineExceeded
	}
	return c.ResponseRecorder.Write(b)
}

// pieces is a body whose pieces come one second after the other.
type pieces [][]byte

func (p *pieces) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	<-time.After(time.Second)
	n := copy(b, (*p)[0])
	if (*p)[0] = (*p)[0][n:]; len((*p)[0]) == 0 {
		*p = (*p)[1:]
	}
	return n, nil
}

func (h *Handler) post(w http.ResponseWriter, body io.Reader) {
	r := httptest.NewRequest(http.MethodPost, "/graphql", body)
	r.Header.Set("Content-Type", mediaJSON)
	caller.Middleware(caller.Config{Open: true})(h.HTTP()).ServeHTTP(w, r)
}

// The deadline of a body moves when enough of it has come, never beyond the time for all of it, and goes when all has come.
func TestDeadlinesOfBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &Handler{pace: Pace{BodyBytes: 2000, BodyTime: 25 * time.Second}, maxBody: maxBody, budget: budget.New(budget.Config{})}
		w := &conn{ResponseRecorder: httptest.NewRecorder(), began: time.Now()}
		body := pieces(slices.Repeat([][]byte{bytes.Repeat([]byte(" "), 1000)}, 40)) // one second each
		text, err := func() ([]byte, error) {
			r := httptest.NewRequest(http.MethodPost, "/", &body)
			r.Header.Set("Content-Type", mediaJSON)
			r.ContentLength = 40_000
			return h.readBody(r, h.paceBody(w, r))
		}()
		if err != nil || len(text) != 40_000 {
			t.Errorf("%d bytes: %v", len(text), err)
		}
		want := []time.Duration{25 * time.Second} // from the header on; then from when there was memory for the body
		for second := 0; second <= 40; second += 2 {
			want = append(want, min(bodyTime, time.Duration(second)*time.Second+25*time.Second))
		}
		if want = append(want, -1); !slices.Equal(w.reads, want) {
			t.Errorf("deadlines %v, want %v", w.reads, want)
		}
	})
}

// Each piece of a large answer has a deadline of its own. A client that does not take one is cut off and counted.
func TestDeadlinesOfAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &Handler{pace: Pace{AnswerBytes: 1000, AnswerTime: time.Second}, metrics: newMetrics(nil)}
		for size, deadlines := range map[int]int{10: 0, 999: 0, 1000: 1, 3500: 3} {
			w := &conn{ResponseRecorder: httptest.NewRecorder(), began: time.Now()}
			data := json.RawMessage(`"` + strings.Repeat("x", size-2) + `"`)
			h.respond(w, http.StatusOK, mediaJSON, &graphql.Response{Data: data})
			if want := slices.Repeat([]time.Duration{time.Second}, deadlines); !slices.Equal(w.writes, want) {
				t.Errorf("%d bytes: deadlines %v, want %v", size, w.writes, want)
			}
			if want := fmt.Sprintf(`{"data":%s}`, data); w.Body.String() != want || w.Header().Get("Content-Length") != fmt.Sprint(len(want)) {
				t.Errorf("%d bytes: %s", size, w.Body)
			}
		}
	})
}

// A body that is not read keeps its deadline: the HTTP server reads on, and would wait for ever.
func TestDeadlineOfBodiesThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &Handler{pace: DefaultPace, maxBody: maxBody, budget: budget.New(budget.Config{}), turns: semaphore.NewWeighted(1), patience: patience, errors: &presenter{}, metrics: newMetrics(nil)}
		w := &conn{ResponseRecorder: httptest.NewRecorder(), began: time.Now()}
		r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader("{}"))
		caller.Middleware(caller.Config{Open: true})(h.HTTP()).ServeHTTP(w, r) // without a content type
		if w.Code != http.StatusUnsupportedMediaType || !slices.Equal(w.reads, []time.Duration{DefaultPace.BodyTime}) {
			t.Errorf("status %d, deadlines %v", w.Code, w.reads)
		}
	})
}

var errBroken = errors.New("broken")

// Whatever becomes of a request, its memory is given back.
func TestMemoryIsGivenBack(t *testing.T) {
	t.Parallel()
	b := budget.New(budget.Config{Memory: 8 << 20, Patience: time.Nanosecond})
	h := &Handler{pace: DefaultPace, maxBody: 1 << 20, budget: b, turns: semaphore.NewWeighted(1), patience: patience, errors: &presenter{}, metrics: newMetrics(nil)}
	for name, c := range map[string]struct {
		body   io.Reader
		status int
	}{
		"no JSON":   {strings.NewReader(`{`), http.StatusBadRequest},
		"broken":    {io.MultiReader(strings.NewReader(`{`), brokenReader{}), http.StatusBadRequest},
		"too slow":  {io.MultiReader(strings.NewReader(`{`), slowReader{}), http.StatusRequestTimeout},
		"too large": {io.LimitReader(spaces{}, 1<<20+1), http.StatusRequestEntityTooLarge},
		"too much":  {strings.NewReader(`{"query":"{a}","variables":{` + numbered(100<<10) + `}}`), http.StatusRequestEntityTooLarge},
	} {
		w := httptest.NewRecorder()
		h.post(w, c.body)
		if w.Code != c.status || b.Taken() != 0 {
			t.Errorf("%s: status %d, want %d; %d bytes are taken: %s", name, w.Code, c.status, b.Taken(), w.Body)
		}
	}
	for _, address := range []string{"192.0.2.7/32", "192.0.2.8/32"} {
		other := b.Open(netip.MustParsePrefix(address))
		defer other.Close()
		if err := other.Take(t.Context(), 3<<20); err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	h.post(w, strings.NewReader(strings.Repeat(" ", 100<<10)))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" || b.Taken() != 6<<20 {
		t.Errorf("while others hold all: %d %v, %d bytes are taken: %s", w.Code, w.Header(), b.Taken(), w.Body)
	}
}

type (
	brokenReader struct{}
	slowReader   struct{}
	spaces       struct{}
)

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }

func (slowReader) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}
