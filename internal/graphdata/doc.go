// Package graphdata keeps built graphs: headers, layers, and contents, which are immutable.
//
//	graphs (header, one a node of a plan) ──> contents ──> content_nodes, content_edges (ordinals from 0)
//	   └─> layers                               hash: null until the content is complete
//
// A content is written in chunks, a transaction each, and counts once a header refers to it, which Finish does in the change that tells
// everybody. So nobody sees half a graph, no transaction is long, and who reads page by page reads one graph, whatever is built meanwhile.
// A result that is equal to a content of the project shares it.
//
// Contents that no header and no claim refers to are removed some minutes after they were last touched, from their ends (internal/operate).
// The first step of that takes the hash away and lowers the counts, under the lock of the content's row. Whoever would use the content asks
// for both under the same lock: sharing and Finish for the hash, a writer for the counts that it left. So none of them uses a part.
package graphdata
