package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
)

// jsonTexts are JSON texts of requests, and some that are nearly ones.
var jsonTexts = []string{
	`{"query":"{a}","operationName":"A","variables":{"x":[1,{"y":null}],"z":"\"{,["},"extensions":{"persistedQuery":{"version":1}}}`,
	`{"extensions":{"persistedQuery":{}}}`, `{"extensions":{"persistedQuery":null}}`, `{"query":null,"variables":null}`, `{"QUERY":"{a}","query":"{b}"}`,
	`{"query":"{a}"} {}`, `{"query":"{a}"}]`, `{"query":"{a}",}`, `{"query":"\ud800\u0000"}`, "{\"query\":\"\xff\"}", `[]`, `[[],{},[{}]]`, `null`, `1`, `"`, ``,
	`{"variables":{"a":1e400,"b":-0.0,"c":[[[]]]},"query":""}`, "\t{ \"a\" : { \"b\" : { \"c\" : 1 , \"d\" : [ ] } } }\n",
}

// FuzzRequest reads anything as the body of a POST: a request is what encoding/json takes for one, and its variables hold what
// encoding/json finds in them, no more values than were counted before they were decoded.
func FuzzRequest(f *testing.F) {
	for _, s := range jsonTexts {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want request
		valid := json.Unmarshal(body, &want) == nil
		params, err := paramsOf(body)
		if (err == nil) != (valid && want.complete()) {
			t.Fatalf("%q: %v, while encoding/json reads %+v, %t", body, err, want, valid)
		}
		if err != nil {
			if refused := new(refusal); !errors.As(err, &refused) || refused.status != http.StatusBadRequest {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if want.Query != nil && params.Query != *want.Query || params.OperationName != want.OperationName {
			t.Errorf("%q is read as %+v", body, params)
		}
		operation := &ast.OperationDefinition{}
		for name := range params.Variables {
			operation.VariableDefinitions = append(operation.VariableDefinitions, &ast.VariableDefinition{Variable: name})
		}
		variables, refused := decodeVariables(t.Context(), operation, params.Variables)
		if refused != nil {
			if len(body) < maxValues {
				t.Errorf("%q: %v", body, refused)
			}
			return
		}
		for name, text := range want.Variables {
			d := json.NewDecoder(bytes.NewReader(text))
			d.UseNumber()
			var v any
			if err := d.Decode(&v); err != nil || !reflect.DeepEqual(v, variables[name]) {
				t.Errorf("the variable %q is %v, want %v, %v", name, variables[name], v, err)
			}
			if n, all := countJSON(text), valuesIn(v); n.objects+n.values < all {
				t.Errorf("%d values are counted in %q, which has %d", n.objects+n.values, text, all)
			}
		}
		if len(variables) != len(want.Variables) {
			t.Errorf("%q has %d variables, want %d", body, len(variables), len(want.Variables))
		}
	})
}

// valuesIn counts a value and those in it.
func valuesIn(v any) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			n += valuesIn(member)
		}
	case []any:
		for _, item := range v {
			n += valuesIn(item)
		}
	}
	return n
}

// FuzzCount counts the values in anything. In JSON there are as many as encoding/json reads, where an empty list or object counts as if it
// held one.
func FuzzCount(f *testing.F) {
	for _, s := range jsonTexts {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := countJSON(text)
		if got.objects < 0 || got.values < 1 || got.shallow < 0 || got.objects+got.values+got.shallow > 3*len(text)+1 {
			t.Fatalf("%q has %+v", text, got)
		}
		if !json.Valid(text) {
			return
		}
		if want := countTokens(t, text); got != want {
			t.Errorf("%q has %+v, want %+v", text, got, want)
		}
	})
}

// countTokens returns what countJSON should, from the tokens of encoding/json.
func countTokens(t *testing.T, text []byte) (n jsonCount) {
	type container struct{ object, counted, empty bool } // counted: its members are shallow
	var around []*container
	total, isKey := 0, false
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			n.values = total - n.objects
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			if c := around[len(around)-1]; c.empty {
				total++
				if c.counted {
					n.shallow++
				}
			}
			around = around[:len(around)-1]
			isKey = len(around) > 0 && around[len(around)-1].object
			continue
		}
		if isKey {
			isKey = false
			continue
		}
		total++
		if len(around) > 0 {
			c := around[len(around)-1]
			if c.empty = false; c.counted {
				n.shallow++
			}
		}
		object := token == json.Delim('{')
		if object {
			n.objects++
		}
		if object || token == json.Delim('[') {
			counted := object && (len(around) == 0 || len(around) == 1 && around[0].object)
			around = append(around, &container{object: object, counted: counted, empty: true})
		}
		isKey = len(around) > 0 && around[len(around)-1].object
	}
}

// FuzzParameters reads anything as the variables and the extensions of a GET: they are the objects that encoding/json takes for ones, and
// mean what they mean in the body of a POST.
func FuzzParameters(f *testing.F) {
	for _, s := range append(slices.Clone(jsonTexts), `{"a":1}`, `{"a":1,"a":{"b":2}}`, `{"persistedQuery":{}}`, ` null `) {
		f.Add("{a}", s)
	}
	f.Fuzz(func(t *testing.T, query, text string) {
		values := url.Values{"query": {query}, "variables": {text}, "extensions": {text}}
		params, err := paramsOfURL(httptest.NewRequest(http.MethodGet, "/graphql?"+values.Encode(), nil))
		if valid := text == "" || json.Unmarshal([]byte(text), new(map[string]json.RawMessage)) == nil; (err == nil) != valid {
			t.Fatalf("%q: %v", text, err)
		}
		if err != nil || text == "" {
			return
		}
		name, err := json.Marshal(query)
		if err != nil {
			t.Fatal(err)
		}
		posted, err := paramsOf([]byte(`{"query":` + string(name) + `,"variables":` + text + `,"extensions":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		params.Query, posted.Query = "", "" // JSON replaces what is no UTF-8
		if !reflect.DeepEqual(params.Variables, posted.Variables) || !reflect.DeepEqual(params.Extensions, posted.Extensions) {
			t.Errorf("%q means %v by GET, and %v by POST", text, params, posted)
		}
	})
}

// FuzzAccept reads anything as the header Accept: the answer has one of the two types, and the older one where the client takes none.
func FuzzAccept(f *testing.F) {
	for _, s := range []string{
		"", "*/*", mediaJSON, mediaResponse + ";q=0.9, " + mediaJSON + ";q=0.1", mediaJSON + ";q=NaN", "application/*;q=-1", mediaResponse + ";charset=latin1", ",,;",
		mediaResponse + ";q=Inf",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		media, acceptable := negotiate([]string{accept})
		if media != mediaJSON && media != mediaResponse || !acceptable && media != mediaJSON {
			t.Errorf("%q gets %q, %t", accept, media, acceptable)
		}
		if media == mediaResponse && !strings.Contains(strings.ToLower(accept), mediaResponse) {
			t.Errorf("%q gets %q", accept, media)
		}
	})
}
