// Package source keeps uploaded data sources: the bytes of files, and what they hold.
//
// A file is kept byte for byte, in chunks that are written while it arrives, each in a transaction of its own. The same pass hashes and
// parses it, and keeps nothing of it but counts, problems and marks, so an upload takes the same memory however large it is. Nobody sees a
// file until one change of the plan writes the record that refers to it, with the node that names the record. A replica that dies before
// leaves chunks that the clean-up removes ten minutes after the last one.
//
// The parsed form is not stored. Builds, graphJson and previews read the bytes again; a mark says at which byte each 1,000th row begins,
// so that a page anywhere reads at most 1,500 rows. A record refers to another file when its file is replaced: files never change. Who
// reads one that was replaced meanwhile may find it removed, and is told so.
package source
