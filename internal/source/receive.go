package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"layercake/internal/fault"
	"layercake/internal/ingest"
)

// received is a file whose bytes are stored, and what the same pass found in it.
type received struct {
	file     int64
	filename string
	format   ingest.Format
	kind     ingest.Kind
	size     int64
	sha256   string
	summary  ingest.Summary
	bad      *ingest.Error // why the file cannot be used; nil when it can
}

// intake is the files of an upload that have arrived so far.
type intake struct {
	service *Service
	project int32
	left    int64   // bytes that may still come
	files   []int64 // of all that came
}

func (s *Service) newIntake(project int32) *intake {
	return &intake{service: s, project: project, left: s.maxUpload}
}

// checked returns an upload whose texts are clean and whose format and kind, where it has them, are possible together.
func (u Upload) checked() (Upload, error) {
	filename, err := CleanFilename(u.Filename)
	if err != nil {
		return u, err
	}
	u.Filename = filename
	if strings.TrimSpace(u.Name) == "" {
		u.Name = shortened(u.Filename, maxName)
	}
	if u.Name, err = cleanName(u.Name); err != nil {
		return u, err
	}
	if u.Description, err = cleanDescription(u.Description); err != nil {
		return u, err
	}
	format, err := ingest.FormatOf(u.Filename)
	if err != nil {
		return u, err
	}
	if u.Format != "" && u.Format != format {
		return u, fault.New(fault.BadRequest, fmt.Sprintf("The file %.100q is no %s file", u.Filename, u.Format)).
			With("detail", "The extension of the name says otherwise; state its format, or none")
	}
	u.Format = format
	if u.Kind != "" {
		return u, ingest.Allowed(u.Format, u.Kind)
	}
	return u, nil
}

// shortened returns the first characters of a text.
func shortened(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most])
}

// take stores the bytes of a checked upload while they arrive, and parses them. A file that cannot be used is stored whole, too.
//
// Faults: BadRequest for more bytes than an upload may have, and for what a detected kind cannot be; those of the reader.
func (in *intake) take(ctx context.Context, u Upload) (got received, err error) {
	content := u.Content
	if u.Kind == "" {
		if u.Kind, content, err = detect(content, u.Format, u.Filename); err != nil {
			return got, err
		}
	}
	if err := ingest.Allowed(u.Format, u.Kind); err != nil {
		return got, err
	}
	file, w, err := in.service.newFile(ctx, in.project, in.files, in.left)
	if err != nil {
		return got, err
	}
	in.files = append(in.files, file)
	got = received{file: file, filename: u.Filename, format: u.Format, kind: u.Kind}
	tee := &watched{r: io.TeeReader(content, w)}
	got.summary, err = ingest.Scan(tee, u.Format, u.Kind, ingest.DefaultLimits())
	if tee.err == nil && (err == nil || errors.As(err, &got.bad)) {
		_, err = io.Copy(io.Discard, tee) // what follows a bad row is part of the file, too
	}
	if tee.err != nil {
		err = tee.err
	}
	if err == nil {
		err = w.Close()
	}
	in.service.metrics.bytes.Add(float64(w.size))
	in.left -= w.size
	if errors.Is(err, ErrTooLarge) {
		return got, TooLarge(in.service.maxUpload)
	}
	got.size, got.sha256 = w.size, w.sum()
	return got, err
}

// TooLarge is the fault for an upload that has more bytes than it may have. It wraps ErrTooLarge.
func TooLarge(limit int64) error {
	message := fmt.Sprintf("The upload has more than %s, which is the limit (LAYERCAKE_MAX_UPLOAD)", megabytes(limit))
	return fault.New(fault.BadRequest, message).With("limit", limit).Because(ErrTooLarge)
}

func megabytes(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%d MB", bytes>>20)
}

// detect says what a file holds by its beginning, and returns a reader of the whole file. A JSON file that is longer is taken for a graph,
// which is all that it may hold.
func detect(content io.Reader, f ingest.Format, filename string) (ingest.Kind, io.Reader, error) {
	beginning, err := io.ReadAll(io.LimitReader(content, chunkSize))
	if err != nil {
		return "", nil, err
	}
	whole := io.MultiReader(bytes.NewReader(beginning), content)
	if f == ingest.JSON && len(beginning) == chunkSize {
		return ingest.Graph, whole, nil
	}
	_, kind, err := ingest.Detect(bytes.NewReader(beginning), filename)
	return kind, whole, err
}

// watched is a reader that keeps its error. What parses it may take a connection that broke for a file that ends too early.
type watched struct {
	r   io.Reader
	err error // other than io.EOF
}

func (w *watched) Read(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// problems returns what is stored of the problems of a file: their number, and the first of them as JSON, nil when there are none.
func (r received) problems() (total int32, list []Problem) {
	found, warning := r.summary.Warnings, true
	if r.bad != nil {
		found, warning = r.bad.Problems, false
	}
	for _, p := range found.Listed {
		listed := Problem{Row: int32(p.Row), Reason: fault.Clip(p.Reason), Warning: warning}
		if p.Column != "" {
			listed.Column = new(shortened(p.Column, 100))
		}
		list = append(list, listed)
	}
	return int32(found.Total), list
}

// problemsJSON is how a record keeps its problems.
func problemsJSON(list []Problem) []byte {
	if len(list) == 0 {
		return nil
	}
	text, _ := json.Marshal(list) // numbers and texts can always be encoded
	return text
}

// message is why the file cannot be used, nil when it can.
func (r received) message() *string {
	if r.bad == nil {
		return nil
	}
	return new(fault.From(r.bad).Message)
}

func (r received) status() string {
	if r.bad != nil {
		return StatusError
	}
	return StatusActive
}

// refusal is why one file of an upload is refused.
type refusal struct {
	filename string
	fault    *fault.Error
}

// maxListed is how many problems of each of several bad files are listed.
const maxListed = 10

// refusedFiles returns the fault that names every bad file of an upload.
func refusedFiles(refusals []refusal, all int) *fault.Error {
	files := make([]map[string]any, len(refusals))
	for i, r := range refusals {
		problems, _ := r.fault.Details["problems"].([]string)
		if len(problems) == 0 {
			problems = []string{r.fault.Message}
		}
		files[i] = map[string]any{"filename": r.filename, "problems": slices.Clone(problems[:min(len(problems), maxListed)])}
		if total, ok := r.fault.Details["total"]; ok {
			files[i]["total"] = total
		}
	}
	first := refusals[0]
	message := fmt.Sprintf("%s: %s", fault.Clip(first.filename), first.fault.Message)
	if len(refusals) > 1 {
		message = fmt.Sprintf("%d of %d files cannot be used; %s", len(refusals), all, message)
	}
	return fault.New(fault.BadRequest, message).With("files", files)
}
