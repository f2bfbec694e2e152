package graph

import (
	"context"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/vektah/gqlparser/v2/ast"
)

// Limits of the cache of documents.
const (
	maxDocumentsBytes = 32 << 20 // memory of all documents that are kept
	maxCachedDocument = 16 << 10 // bytes of a document's text; larger ones are not worth the memory
)

// The memory that a document takes, measured with documents of one kind at a time: parsed and checked, it takes 25 times its text for those
// of the existing client, 77 times for fields of two letters, and 110 times for a list of digits.
const (
	documentFactor   = 128
	documentOverhead = 512
)

// documentCache keeps documents that were parsed and found valid, those that were asked for last.
type documentCache struct {
	mu        sync.Mutex
	documents *simplelru.LRU[string, *ast.QueryDocument] // documents by their texts
	bytes     int                                        // memory that they take at most
}

func newDocumentCache() *documentCache {
	documents, err := simplelru.NewLRU[string, *ast.QueryDocument](maxDocumentsBytes/documentOverhead, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &documentCache{documents: documents}
}

// Get returns a document that is kept.
func (c *documentCache) Get(_ context.Context, text string) (*ast.QueryDocument, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.documents.Get(text)
}

// Add keeps a document unless it is large.
func (c *documentCache) Add(_ context.Context, text string, document *ast.QueryDocument) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(text) > maxCachedDocument || c.documents.Contains(text) {
		return
	}
	c.documents.Add(text, document)
	c.bytes += documentBytes(text)
	for c.bytes > maxDocumentsBytes {
		oldest, _, _ := c.documents.RemoveOldest()
		c.bytes -= documentBytes(oldest)
	}
}

func documentBytes(text string) int { return documentOverhead + documentFactor*len(text) }
