package source

import (
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

// WriteJSON writes all that a source holds as graphJson shows it: an object with the arrays nodes, edges and layers. Elements are written
// while the file is read, so the same memory is enough for any. Of a file that cannot be used it writes an empty object. On an error w
// holds a beginning.
func (s *Service) WriteJSON(ctx context.Context, w io.Writer, src Source) error {
	return writeJSON(w, s.Open(ctx, src), src)
}

func writeJSON(w io.Writer, r io.Reader, src Source) error {
	if src.Status != StatusActive {
		_, err := io.WriteString(w, "{}")
		return err
	}
	file := &watched{r: r}
	err := ingest.Convert(w, file, src.Format, src.Kind, ingest.DefaultLimits())
	if file.err != nil {
		err = file.err
	}
	if err != nil {
		return fmt.Errorf("write data source %d: %w", src.ID, err)
	}
	return nil
}

// JSON returns what WriteJSON writes, when it has at most limit bytes. Beyond, it is a valid object with empty arrays, "truncated": true
// and the path of the download; the rest of the file is not read then.
func (s *Service) JSON(ctx context.Context, src Source, limit int64) (string, error) {
	w := limited{left: limit}
	err := writeJSON(&w, readerUntil{s.Open(ctx, src), &w}, src)
	switch {
	case w.left < 0:
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

// readerUntil ends a reader when a text is longer than allowed.
type readerUntil struct {
	io.Reader
	text *limited
}

func (r readerUntil) Read(p []byte) (int, error) {
	if r.text.left < 0 {
		return 0, errLimit
	}
	return r.Reader.Read(p)
}
