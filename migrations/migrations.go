// Package migrations holds the schema of the database as goose files.
//
// A migration is never edited once released. Each one ends by storing the oldest schema number that a binary must know to go
// on working beside it: add, then use, then remove, in separate releases.
package migrations

import "embed"

// FS holds the migrations, in the order of their numbers.
//
//go:embed *.sql
var FS embed.FS

// API holds the contract for DBAs: views and functions that are replaced after the migrations, in the order of their names.
//
//go:embed api/*.sql
var API embed.FS
