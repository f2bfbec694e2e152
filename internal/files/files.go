// Package files serves uploads, downloads and outputs over HTTP.
package files
