package client

import "testing"

func TestMetricsAreSummed(t *testing.T) {
	t.Parallel()
	got, err := parseMetrics([]byte("# HELP a b\n# TYPE a counter\na{x=\"1 2\"} 3\na{x=\"y\"} 4\nb 1e+06\n"))
	if err != nil || got["a"] != 7 || got["b"] != 1e6 || len(got) != 2 {
		t.Errorf("metrics = %v, %v", got, err)
	}
	if _, err := parseMetrics([]byte("a{} one\n")); err == nil {
		t.Error("no error for a value that is no number")
	}
}
