package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"layercake/internal/golden"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// scrape describes the metrics of a replica, one a line: type, name, labels and help.
func scrape(t *testing.T, admin string) string {
	t.Helper()
	answer := fetch(t, admin+"/metrics")
	if answer.Status != http.StatusOK {
		t.Fatalf("/metrics = %d: %s", answer.Status, answer.Text)
	}
	help, labels := map[string]string{}, map[string]map[string]bool{}
	var lines []string
	for line := bufio.NewScanner(bytes.NewReader(answer.Text)); line.Scan(); {
		words := strings.SplitN(line.Text(), " ", 4)
		switch {
		case words[0] == "#" && words[1] == "HELP":
			help[words[2]], labels[words[2]] = words[3], map[string]bool{}
		case words[0] != "#":
			series, _, _ := strings.Cut(line.Text(), "{")
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if name := strings.TrimSuffix(series, suffix); labels[name] != nil {
					series = name
				}
			}
			for _, label := range label.FindAllStringSubmatch(words[0], -1) {
				if label[1] != "le" {
					labels[series][label[1]] = true
				}
			}
		case strings.HasPrefix(words[2], "go_sync_"):
			help[words[2]] = "In the words of the Go runtime."
			fallthrough
		case strings.HasPrefix(words[2], "layercake_"):
			lines = append(lines, words[2]+" "+words[3]) // the labels come later
		}
	}
	for i, line := range lines {
		name, kind, _ := strings.Cut(line, " ")
		lines[i] = fmt.Sprintf("%s{%s} %s: %s", name, strings.Join(slices.Sorted(maps.Keys(labels[name])), ","), kind, help[name])
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

var label = regexp.MustCompile(`[{,]([a-z_]+)="`)

// Dashboards and alerts go by these names: they are a contract. Labels name what is few: never a project, a user or a query's text.
func TestMetricsAreAsPromised(t *testing.T) {
	t.Parallel()
	replica := servertest.Start(t, 1, func(c *server.Config) { c.AdminAddr, c.CleanUp = "127.0.0.1:0", 10*time.Millisecond })[0]
	newProject(t, replica.URL)
	ask(t, replica.URL, addNode(1))
	// The gauge of its last job is the last that there is.
	until(t, "the first clean-up", func() bool {
		return strings.Contains(string(fetch(t, replica.Admin+"/metrics").Text), `last_success_timestamp_seconds{what="checkpoints"}`)
	})
	golden.Compare(t, "testdata/metrics.txt", scrape(t, replica.Admin))
}
