package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"layercake/internal/db"
	"layercake/internal/fault"

	"github.com/jackc/pgx/v5"
)

// chunkSize is the size of every chunk of a file but the last one, in bytes.
const chunkSize = 256 << 10

// fileWriter keeps what is written to it as the chunks of a file.
type fileWriter struct {
	insert func(ordinal int32, body []byte) error
	left   int64  // bytes that may still come
	chunk  []byte // bytes that are not stored yet
	next   int32  // ordinal of the chunk in hand
	size   int64
	hash   hash.Hash
}

// ErrTooLarge is wrapped by the fault of an upload that is larger than allowed.
var ErrTooLarge = errors.New("upload is too large")

// newFile begins a file of an upload, which has some others already. The files of one upload share the bytes that it may have.
func (s *Service) newFile(ctx context.Context, project int32, earlier []int64, left int64) (id int64, w *fileWriter, err error) {
	err = s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
		id, err = q.InsertFile(ctx, project)
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("begin a file: %w", err)
	}
	upload := append(append([]int64(nil), earlier...), id)
	insert := func(ordinal int32, body []byte) error {
		return s.db.Requests.Query(ctx, func(q *db.Queries) error {
			return q.InsertFileChunk(ctx, db.InsertFileChunkParams{FileID: id, Ordinal: ordinal, Body: body, Upload: upload})
		})
	}
	return id, &fileWriter{insert: insert, left: left, chunk: make([]byte, 0, chunkSize), hash: sha256.New()}, nil
}

// Write takes bytes of the file, and stores those that fill a chunk.
func (w *fileWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		return 0, ErrTooLarge
	}
	_, _ = w.hash.Write(p) // writing into a hash does not fail
	w.size += int64(len(p))
	for rest := p; len(rest) > 0; {
		n := min(len(rest), chunkSize-len(w.chunk))
		w.chunk, rest = append(w.chunk, rest[:n]...), rest[n:]
		if len(w.chunk) == chunkSize {
			if err := w.store(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// Close stores what is left.
func (w *fileWriter) Close() error {
	if len(w.chunk) == 0 {
		return nil
	}
	return w.store()
}

func (w *fileWriter) store() error {
	if err := w.insert(w.next, w.chunk); err != nil {
		return fmt.Errorf("store a chunk: %w", err)
	}
	w.next++
	w.chunk = w.chunk[:0]
	return nil
}

// sum returns the SHA-256 of all bytes, in hex digits.
func (w *fileWriter) sum() string { return hex.EncodeToString(w.hash.Sum(nil)) }

// forget lets the next clean-up remove files that nothing is going to refer to. When that fails, a later clean-up removes them.
func (s *Service) forget(ctx context.Context, files []int64) {
	if len(files) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := s.db.Requests.Query(ctx, func(q *db.Queries) error { return q.ForgetFiles(ctx, files) })
	if err != nil {
		s.log.DebugContext(ctx, "forget files", "error", err)
	}
}

// File reads the bytes of a file, a chunk a statement. It fails with the fault NotFound when the file was removed meanwhile.
type File struct {
	load   func(ordinal int32) ([]byte, error)
	size   int64
	offset int64
	chunk  []byte
	held   int32 // ordinal of chunk; -1 while there is none
}

var errFileGone = fault.New(fault.NotFound, "The file of this data source was replaced or removed meanwhile; read the data source again")

// Open reads the bytes of a source's file, a chunk a statement, so that who reads slowly holds no connection. Reading fails with the fault
// NotFound when the file was removed meanwhile. The caller closes; a file that is not closed holds nothing but a chunk in memory.
func (s *Service) Open(ctx context.Context, src Source) *File {
	load := func(ordinal int32) (body []byte, err error) {
		err = s.db.Requests.Query(ctx, func(q *db.Queries) (err error) {
			body, err = q.GetFileChunk(ctx, db.GetFileChunkParams{FileID: src.FileID, Ordinal: ordinal})
			return err
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, errFileGone
		}
		if err != nil {
			return nil, fmt.Errorf("read a chunk: %w", err)
		}
		s.metrics.read.Add(float64(len(body)))
		return body, nil
	}
	return &File{load: load, size: src.Size, held: -1}
}

// Read reads from one chunk.
func (f *File) Read(p []byte) (int, error) {
	if f.offset >= f.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.Check(); err != nil {
		return 0, err
	}
	start := int(f.offset % chunkSize)
	if start >= len(f.chunk) {
		return 0, fmt.Errorf("chunk %d has %d bytes: %w", f.held, len(f.chunk), io.ErrUnexpectedEOF)
	}
	n := copy(p, f.chunk[start:])
	f.offset += int64(n)
	return n, nil
}

// Check reads the chunk at which the file is, so that one that was removed is known before anything of it is sent.
func (f *File) Check() error {
	ordinal := int32(f.offset / chunkSize)
	if ordinal == f.held || f.offset >= f.size {
		return nil
	}
	chunk, err := f.load(ordinal)
	if err != nil {
		return err
	}
	f.chunk, f.held = chunk, ordinal
	return nil
}

// Seek sets where the next Read begins.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek to byte %d", offset)
	}
	f.offset = offset
	return offset, nil
}

// Close lets go of the chunk in hand.
func (f *File) Close() error {
	f.chunk, f.held = nil, -1
	return nil
}
