package client

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Metrics reads the metrics of a replica at its admin address. Metrics that differ only in labels are added up.
func Metrics(ctx context.Context, admin string) (map[string]float64, error) {
	answer, err := Get(ctx, admin+"/metrics")
	switch {
	case err != nil:
		return nil, err
	case answer.Status != http.StatusOK:
		return nil, fmt.Errorf("%s/metrics answered %d %s", admin, answer.Status, http.StatusText(answer.Status))
	}
	return parseMetrics(answer.Text)
}

// parseMetrics reads the text format: name{labels} value.
func parseMetrics(text []byte) (map[string]float64, error) {
	sums := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		end := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || end < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[end+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("metrics: %q: %w", line, err)
		}
		name, _, _ := strings.Cut(line[:end], "{")
		sums[name] += value
	}
	return sums, lines.Err()
}
