package layered

// Version is the version of the engine. It steps when the same inputs and settings can give another result than before: another
// element, value, order or hash. What was built by another version counts as stale then. Messages, notes and speed do not step it.
const Version = 1
