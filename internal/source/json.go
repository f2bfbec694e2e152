package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"layercake/internal/ingest"
)

// DownloadPath is the path of a download of a source: raw, its file, or json, what it holds.
func DownloadPath(id int32, what string) string {
	return fmt.Sprintf("/api/data-sources/%d/download/%s", id, what)
}

// WriteJSON writes all that a source holds as graphJson shows it: an object with the arrays nodes, edges and layers. Tables are written
// while they are read; of a JSON graph all is in memory meanwhile. Of a file that cannot be used it writes an empty object.
func (s *Service) WriteJSON(ctx context.Context, w io.Writer, src Source) error {
	if src.Status != StatusActive {
		_, err := io.WriteString(w, "{}")
		return err
	}
	if src.Format == ingest.JSON {
		g, err := s.Read(ctx, src)
		if err != nil {
			return err
		}
		return ingest.WriteJSON(w, g)
	}
	return s.writeTable(ctx, w, src)
}

// writeTable writes the elements of a table, some rows at a time.
func (s *Service) writeTable(ctx context.Context, w io.Writer, src Source) error {
	separator := "{"
	for _, kind := range []ingest.Kind{ingest.Nodes, ingest.Edges, ingest.Layers} {
		if _, err := fmt.Fprintf(w, "%s%q:[", separator, kind); err != nil {
			return err
		}
		if kind == src.Kind {
			if err := s.writeRows(ctx, w, src); err != nil {
				return err
			}
		}
		separator = "],"
	}
	_, err := io.WriteString(w, "]}")
	return err
}

func (s *Service) writeRows(ctx context.Context, w io.Writer, src Source) error {
	separator := ""
	for first := 0; first < int(src.Rows); first += markedRows {
		header, from, err := s.rows(ctx, src, first)
		if err != nil {
			return err
		}
		elements, err := readPage(bytes.NewReader(header), from, src.Format, src.Kind, 0, markedRows)
		if err != nil {
			return fmt.Errorf("read rows of data source %d: %w", src.ID, err)
		}
		for _, element := range elements {
			if _, err := io.WriteString(w, separator); err != nil {
				return err
			}
			if _, err := w.Write(element); err != nil {
				return err
			}
			separator = ","
		}
	}
	return nil
}

// JSON returns what WriteJSON writes, when it has at most limit bytes. Beyond, it is a valid object with empty arrays, "truncated": true
// and the path of the download. A JSON graph is not even read when its file has twice as many bytes.
func (s *Service) JSON(ctx context.Context, src Source, limit int64) (string, error) {
	if src.Format == ingest.JSON && src.Size > 2*limit {
		return truncated(src), nil
	}
	w := limited{left: limit}
	switch err := s.WriteJSON(ctx, &w, src); {
	case errors.Is(err, errLimit):
		return truncated(src), nil
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(w.text.String(), "\n"), nil
}

func truncated(src Source) string {
	return fmt.Sprintf(`{"nodes":[],"edges":[],"layers":[],"truncated":true,"download":%q}`, DownloadPath(src.ID, "json"))
}

// limited keeps so many bytes of a text, and then ends it with errLimit.
type limited struct {
	text strings.Builder
	left int64
}

var errLimit = errors.New("text is longer than allowed")

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, errLimit
	}
	return l.text.Write(p)
}
